"""The execution of operations: document, limits, price, budget, deadline, plan, execution, response.

``service`` is the entry point; ``documents`` parses, ``cost`` and ``scans`` compute the cost, ``budgets`` charges it,
``planner`` plans, ``runner`` executes, ``answer`` builds the response.

Independent of transports: HTTP and WebSocket are its clients. It may use ``auth`` and ``schema``, and imports no other
room.
"""
