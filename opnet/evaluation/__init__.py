"""Measuring: metrics, evaluation with intervals, convergence and transfer studies, records and reports.

Belongs here: everything that says how wrong something is. Reports and plots are made from records alone.
"""
