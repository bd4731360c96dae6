from tests.server.proxy.conftest import store
from tests.server.store.test_store import *  # noqa: F403

__all__ = ("store",)
# the upstream server sets the time
del test_a_resource_is_stored_with_its_digits_and_order_of_elements  # noqa: F821
del test_history_since_and_at, test_a_scan_yields_every_resource_once  # noqa: F821
# the upstream server does not report that an update changed nothing
del test_an_update_without_a_difference_creates_no_version  # noqa: F821
# not supported in front of another server
del test_reindexing_rebuilds_the_same_index, TestStoreModel  # noqa: F821
del test_integrity_refuses_dangling_references  # noqa: F821
del test_last_updated_never_decreases_when_the_clock_steps_back  # noqa: F821
del test_a_recreated_resource_is_not_older_than_its_deletion  # noqa: F821
del test_history_of_a_deleted_resource_at_each_time  # noqa: F821
# the upstream server decides in which order ids are assigned
del test_creates_of_a_transaction_are_stored_before_its_updates  # noqa: F821
