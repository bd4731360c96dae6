from tests.server.fhir.test_transactions import *  # noqa: F403
