"""Every commit and every call to a gateway is a point at which the service's process may end. It is ended at each.

    python -m crashpoints                  # every scenario, every point
    python -m crashpoints --every 7        # every seventh point
    python -m crashpoints --without idempotency    # with a rule broken: double charges must be found

A scenario is run once without harm, and its points are numbered as they are passed: nobody lists them. Then for each
point it is run again, in a process of its own that sends itself SIGKILL exactly there; another process takes its place,
the client repeats itself with its idempotency key, the webhooks come, the sweeps run and time passes; and then what the
service says is compared with what the gateways hold.
"""
