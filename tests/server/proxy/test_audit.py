from tests.server.auth.test_audit import *  # noqa: F403

# that an update changed nothing is not told by the other server
del test_reads_searches_and_writes_have_events  # noqa: F821
