"""Ways to compute one convolution: a file each, all with one signature, all equal to windows.py.

    correlate(x, weight, bias, *, stride, margins, dilation, groups) -> y     margins are of zeros; all values are real
    cost(problem) -> operations by kind        what it would do, for the cost table to price
    memory(problem) -> bytes                   what it allocates at most, its output included
    refused(problem) -> why not, or ""         optional: what it cannot be had for
    EXACT, LOCAL                               meets the direct error gate for any values; a NaN stays in its windows

A newcomer adds a file with these names; it is found, tested against the definition and offered to the planner.
"""

from sigconv.methods._backward import input_gradient, weight_gradient
from sigconv.methods._calibrate import calibrate, seconds
from sigconv.methods._call import correlate, describe, precision
from sigconv.methods._factors import Factors, factorize
from sigconv.methods._plan import METHODS, plan
from sigconv.methods._prices import local, save, shipped, table
from sigconv.methods._problem import Candidate, Plan, Problem
from sigconv.methods.toeplitz import matrix

__all__ = [
    "METHODS",
    "Candidate",
    "Factors",
    "Plan",
    "Problem",
    "calibrate",
    "correlate",
    "describe",
    "factorize",
    "input_gradient",
    "local",
    "matrix",
    "plan",
    "precision",
    "save",
    "seconds",
    "shipped",
    "table",
    "weight_gradient",
]
