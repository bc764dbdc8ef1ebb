"""Other people's files, one format a file; each is checked before it is believed.

Importing any of them registers them all.
"""

from opnet.data.formats import deeponet, geo_fno, matlab, neuraloperator, pdebench, planetoid, the_well  # noqa: F401
