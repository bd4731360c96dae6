from tests.server.auth.test_audit import *  # noqa: F403

# the upstream server does not report that an update changed nothing
del test_reads_searches_and_writes_have_events  # noqa: F821
