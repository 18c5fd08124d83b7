"""The catalog of faults that the chaos draws from, each with the ids of the fault list and its weight."""

from tests.chaos import chain_faults, service_faults
from tests.chaos.fault import Fault
from tests.chaos.stage import LEASE_S

CATALOG = (
    Fault("kill a worker's child", "F1", service_faults.kill_child, 4),
    Fault("kill a worker's parent", "F1", service_faults.kill_parent),
    Fault("kill every worker", "F2", service_faults.kill_group, 1),
    Fault("stop a worker past its lease", "F4", service_faults.stop_worker, 2, LEASE_S + 0.5, LEASE_S + 2),
    Fault("a worker that dies at kill points", "F1 K1-K20", service_faults.reckless_worker, 4, 3, 6),
    Fault("deliver a task fifty times", "F3", service_faults.ring_fifty_times),
    Fault("flush Redis", "F5", service_faults.flush_redis),
    Fault("kill Redis", "F5 F6 F7", service_faults.kill_redis),
    Fault("cut Redis connections", "F7", service_faults.cut_redis),
    Fault("slow Redis", "F39", service_faults.slow_redis, 1),
    Fault("restart PostgreSQL immediate", "F9", service_faults.crash_postgres),
    Fault("end PostgreSQL backends", "F9 F11", service_faults.end_backends),
    Fault("lose commits or their replies", "F10", service_faults.lose_commits, 3),
    Fault("slow PostgreSQL", "F39", service_faults.slow_postgres, 1),
    Fault("fail calls of the node", "F12-F16", chain_faults.fail_calls, 10),
    Fault("kill the node", "F17 F19", chain_faults.kill_node),
    Fault("unload the wallet", "F18", chain_faults.unload_wallet),
    Fault("reorganize 1 to 10 blocks", "F22 F23 F25 F27", chain_faults.reorganize, 5, 1, 3),
    Fault("blocks without room", "F28", chain_faults.fill_blocks, 4, 6, 10),
    Fault("a stranger spends a coin", "F25 F26", chain_faults.steal_coin, 1),
    Fault("forget the memory pool", "F31 F33", chain_faults.forget_pool),
    Fault("raise the least relay feerate", "F32", chain_faults.raise_min_relay, 1),
    Fault("refuse a fee", "F31 F32", chain_faults.refuse_fee),
    Fault("swing the fee estimate", "F49", chain_faults.swing_estimate, 3),
    Fault("kill the scheduler", "F41", service_faults.kill_beat, 1),
    Fault("a second scheduler", "F41", service_faults.second_beat, 1),
    Fault("spoil the receiver of alarms", "K20", service_faults.spoil_receiver, 1, 2, 6),
)
