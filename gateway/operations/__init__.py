"""The execution of operations: document, limits, price, budget, deadline, plan, execution, response.

``service`` is the entrance; ``documents`` parses, ``cost`` and ``scans`` price, ``budgets`` charges, ``planner`` plans,
``runner`` executes, ``answer`` finishes.

Knows no transport: HTTP and WebSocket are its clients. It may use ``auth`` and ``schema``, and imports no other room.
"""
