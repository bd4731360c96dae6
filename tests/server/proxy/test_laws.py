from tests.server.proxy.conftest import store
from tests.server.store.test_store import *  # noqa: F403

__all__ = ("store",)
# the time is the other server's
del test_a_text_is_kept_digit_for_digit_in_its_order  # noqa: F821
del test_history_since_and_at, test_a_scan_gives_everything_once  # noqa: F821
# that an update changed nothing is not told by the other server
del test_what_changes_nothing_makes_no_version  # noqa: F821
# of the embedded store alone
del test_the_index_made_anew_is_the_index, TestWritten  # noqa: F821
del test_integrity_refuses_what_leads_nowhere_and_the_delete_of_what_is_led_to  # noqa: F821
del test_last_updated_never_decreases_when_the_clock_steps_back  # noqa: F821
del test_a_recreated_resource_is_not_older_than_its_deletion  # noqa: F821
del test_history_of_a_deleted_resource_at_each_time  # noqa: F821
