"""IPOPT's options for problems solved again and again, each a little different."""

from typing import Any


def ipopt_options(max_time: float | None, tol: float) -> dict[str, Any]:
    options: dict[str, Any] = {
        "print_time": False,
        "error_on_fail": False,
        "show_eval_warnings": False,
        "ipopt.sb": "yes",
        "ipopt.print_level": 0,
        "ipopt.tol": tol,
        "ipopt.max_iter": 200,
        "ipopt.warm_start_init_point": "yes",
        "ipopt.warm_start_bound_push": 1e-6,
        "ipopt.warm_start_mult_bound_push": 1e-6,
        "ipopt.warm_start_slack_bound_push": 1e-6,
        "ipopt.mu_init": 1e-4,
        "ipopt.mu_strategy": "adaptive",
        # relaxed bounds would let every slack of a soft bound go negative and earn a negative price
        "ipopt.bound_relax_factor": 0.0,
    }
    if max_time is not None:
        if not max_time > 0:
            raise ValueError(f"max_time is {max_time}, it must be positive (seconds)")
        options["ipopt.max_wall_time"] = max_time
    return options
