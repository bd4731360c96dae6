from tests.server.fhir.test_history import *  # noqa: F403
