"""BFGS: minimization of a smooth function of a few parameters."""

from collections.abc import Callable

import numpy as np


def minimize(function: Callable[[np.ndarray], tuple[float, np.ndarray]], count: int, first_step: float,
             max_step: float, tolerance: float, iterations: int) -> tuple[np.ndarray, float]:
    """The parameters (count,) near zero at which `function` is smallest, and its value there.

    Quasi-Newton (Broyden, Fletcher, Goldfarb, Shanno) with a line search that goes back until the function
    falls. No parameter changes by more than `max_step` in one step, and the first step's largest change is
    `first_step`: far steps out of the basin of attraction cannot happen. For six to twelve parameters with exact
    gradients on samples that stay the same, curvature is worth more than a gradient method's momentum (Adam), and there
    is no step size to tune.

    Method: J. Nocedal, S. J. Wright, "Numerical Optimization", 2nd edition, 2006, chapter 6,
    doi:10.1007/978-0-387-40065-5.

    Args:
        function: parameters -> (value, gradient); an infinite value forbids a place.
        tolerance: a step that changes no parameter by more than this ends the search.
    """
    here = np.zeros(count)
    value, gradient = function(here)
    largest = np.abs(gradient).max()
    if not np.isfinite(value) or largest == 0:
        return here, value
    inverse = np.eye(count) * (first_step / largest)
    fresh = True
    for _ in range(iterations):
        step = -inverse @ gradient
        slope = float(step @ gradient)
        if slope >= 0:
            inverse = np.eye(count) * (first_step / max(np.abs(gradient).max(), 1e-30))
            step = -inverse @ gradient
            slope = float(step @ gradient)
        reach = np.abs(step).max()
        if reach > max_step:
            step, slope = step * (max_step / reach), slope * (max_step / reach)
        found = _line_search(function, here, value, step, slope, tolerance)
        if found is None:
            if fresh:
                break
            inverse, fresh = np.eye(count) * (tolerance / max(np.abs(gradient).max(), 1e-30)), True
            continue
        taken, new_value, new_gradient = found
        change = new_gradient - gradient
        here, value, gradient = here + taken, new_value, new_gradient
        curvature = float(taken @ change)
        if curvature > 1e-12 * np.linalg.norm(taken) * np.linalg.norm(change):
            if fresh:
                inverse = np.eye(count) * (curvature / float(change @ change))
            fresh = False
            left = np.eye(count) - np.outer(taken, change) / curvature
            inverse = left @ inverse @ left.T + np.outer(taken, taken) / curvature
        if np.abs(taken).max() < tolerance:
            break
    return here, value


def _line_search(function, here, value, step, slope, tolerance):
    """(step taken, value, gradient) where the value has fallen enough, going back from the end of `step`."""
    fraction = 1.0
    for _ in range(6):
        new_value, new_gradient = function(here + fraction * step)
        if new_value <= value + 1e-4 * fraction * slope:
            return fraction * step, new_value, new_gradient
        # The parabola through the two values and the slope says how far to go back.
        bend = new_value - value - fraction * slope
        known = np.isfinite(bend) and bend > 0
        fraction *= float(np.clip(-fraction * slope / (2 * bend), 0.1, 0.5)) if known else 0.25
        if fraction * np.abs(step).max() < tolerance / 4:
            break
    return None
