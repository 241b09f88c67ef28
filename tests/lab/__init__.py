"""The laboratory: real servers and a fault proxy for Rotator's tests and demonstration.

Called by pytest fixtures (`tests/conftest.py`), by tests and by the demonstration. It must never import a room of
ours (`rotator`, `rotator_*`): what it says about a server is said by the server, not by our own client.

Every server listens on 127.0.0.1, is killed with the process that started it, and is ended by its own pid.
"""
