"""The whole service, simulated: one thread steps every task, and a seed decides everything that chance would decide.

    python -m simulation --seeds 2000            # prints failing seeds and a summary
    python -m simulation --seed 17 --trace       # one seed, every step

The web application, the services, the worker's entrypoints and sweeps, PostgreSQL and both sandboxes are real; sockets,
time and chance are not. A seed decides which task goes on, which call or answer is lost or late, which webhook comes
twice, late or never, when a process dies, and when time passes.
"""
