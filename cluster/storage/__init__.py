"""Where bytes live: stores, and result sets that appear whole or not at all."""

from cluster.storage.result_set import ResultSet, open_result_set, result_set_exists, write_result_set
from cluster.storage.store import Store, open_store

__all__ = ["ResultSet", "Store", "open_result_set", "open_store", "result_set_exists", "write_result_set"]
