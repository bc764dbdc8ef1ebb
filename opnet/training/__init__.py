"""Training: `fit`, losses, schedules, checkpoints that survive.

Belongs here: what changes a model's weights. A loss is the mean of a metric.
"""
