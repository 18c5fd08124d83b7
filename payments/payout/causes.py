"""What each alarm means and what to do about it, for admin, receivers and the operator's guide."""

from typing import NamedTuple


class Cause(NamedTuple):
    """One or two sentences each: what was found, and what a person does now."""

    means: str
    do: str


CAUSES: dict[str, Cause] = {
    "engine_stopped": Cause(
        "Somebody threw the global stop: nothing is sealed, signed or sent, in any program.",
        "Read the reason under Stops. A treasurer who is somebody else lifts it.",
    ),
    "node_unreachable": Cause(
        "The node has given no useful answer for a minute: nothing is sent and no block is read.",
        "Mend the node or GOVPAY_NODE_URL; everything goes on by itself.",
    ),
    "node_elsewhere": Cause(
        "The node follows another chain than ours, or the main network: every worker refuses to act.",
        "Point GOVPAY_NODE_URL at the right node.",
    ),
    "follow_late": Cause(
        "No worker has looked at the node for a while: no block is read and nothing settles.",
        "Start the worker for rounds, or restart the one that hangs.",
    ),
    "sweep_late": Cause(
        "The scheduler or the worker for rounds is dead: lost work is not found again.",
        "Start it; nothing is lost.",
    ),
    "tip_stale": Cause(
        "The node's best block is too old to trust: nothing is sealed, signed or sent.",
        "See whether the node has peers and is still downloading; everything goes on by itself.",
    ),
    "blocks_pruned": Cause(
        "The node threw a block away before it was read; nothing after it settles.",
        "Point GOVPAY_NODE_URL at a node that has it, or let this one download the chain anew. Prune less: more than "
        "the longest time that the service may be down.",
    ),
    "webhook_down": Cause(
        "The receiver of alarms has not taken a message for five minutes.",
        "Mend the receiver, or GOVPAY_ALARM_WEBHOOK_URL; what waits is sent by itself. Until then look here.",
    ),
    "webhook_paused": Cause(
        "The receiver of a program's webhook took nothing for three days, or answered that it is gone; nothing is sent to "
        "it any more. What it was not told stays in the program's events.",
        "Mend the receiver, send a ping, and resume the webhook, which closes the alarm: all of it is sent then.",
    ),
    "wallet_unusable": Cause(
        "The node has another wallet under the program's name.",
        "Remove or rename that wallet in the node.",
    ),
    "wallet_range": Cause(
        "The node's wallet was restored from a backup so old that keys of our coins cannot be made again as far as we "
        "know of them.",
        "Restore its newest backup, or keypoolrefill with a larger number; the payout goes on by itself.",
    ),
    "wallet_changed": Cause(
        "The node's wallet has other descriptors than when it was made; the wallet is halted.",
        "Load the right one; two people lift the halt.",
    ),
    "second_installation": Cause(
        "Another installation pays from the wallet; the wallet is halted.",
        'Stop one of them. If it is gone for good, remove its label from the node\'s wallet (setlabel ADDRESS ""); two '
        "people lift the halt.",
    ),
    "database_restored": Cause(
        "The node's wallet counts more signed payouts than the database; the wallet is halted.",
        "Run manage.py reimport_chain.",
    ),
    "stranger_spent_our_coin": Cause(
        "A block holds a tx that is not ours and spends a coin of the wallet: somebody has its keys. The wallet is "
        "halted.",
        "Find out who, move the rest to a new wallet, and look at reconciliation.",
    ),
    "payout_conflicted": Cause(
        "A tx in a block spends a coin of the payout and is none of ours. The payout is frozen.",
        "As for stranger_spent_our_coin. The payout is void after 100 blocks and may be reissued.",
    ),
    "payout_frozen": Cause(
        "The signer or the chain contradicts what was sealed; nothing of the payout is ever paid another way by itself.",
        "Look at its problem and at the spender named there. Two people let it go on or give it up.",
    ),
    "payout_stuck": Cause(
        "Ten attempts in a row failed; the message has the last reason. Where an input is not known to the node, the "
        "deposit behind it may be gone for good.",
        "Look for the deposit's tx; bump where the fee is too low; else give the payout up.",
    ),
    "payout_refused": Cause(
        "The node refuses the payout, and no payment of it by itself; its list is tried again.",
        "Read the node's reason; mend the node's policy, or make the list smaller.",
    ),
    "payment_refused": Cause(
        "The node refuses one payment; it is held and the others are paid.",
        "Look at its address and amount; a second officer lets it go on, or it is withdrawn.",
    ),
    "signing_overdue": Cause(
        "The signing deadline has passed and signatures are missing.",
        "Bring the signers the PSBT and upload what they return; who cannot sign any more leaves a void.",
    ),
    "approval_forged": Cause(
        "The database says of a list what no process of ours wrote, or its lines were changed after people agreed to them: "
        "somebody writes rows behind the guards. Nothing of it is paid.",
        "Find out who can write to the database, and compare the list with the file it came from. Withdraw the list, or, "
        "once it is released, its payments.",
    ),
    "fees_block": Cause(
        "A cap stands between the payout or list and a fee that the network takes; the message names the figures.",
        "Wait for lower fees, raise the fee up to the ceiling, or give the payout up.",
    ),
    "coins_too_small": Cause(
        "One payout spends 20 coins at most, and no 20 of the wallet carry the next payment, or paying in parts would "
        "cost more fees than were approved.",
        "Give the program a rate and a budget for merging coins, or make one larger deposit.",
    ),
    "intervention_failed": Cause(
        "What people agreed to could not be carried out any more; nothing was changed.",
        "Read the reason, look at the figures again, and ask anew where it is still wanted.",
    ),
    "void_lost": Cause(
        "A payout that was given up is in a block after all: its people are paid.",
        "Reissue nothing.",
    ),
    "void_undone": Cause(
        "A reorganization of 100 blocks took away what made a payout void; nothing that pays the same people anew is "
        "signed or sent meanwhile, nor handed to signers.",
        "Compare with any reissue that is out already, and stop if in doubt. To close this alarm releases nothing. Once "
        "the payout confirms, withdraw what stands in for it.",
    ),
    "paid_twice": Cause(
        "A payout that was void and one that pays the same people anew are both in a block: a reorganization of 100 "
        "blocks came after the reissue was paid.",
        "Agree with the people what becomes of the second payment; nothing on the chain can take it back.",
    ),
    "budget_short": Cause(
        "A reorganization made a list need again what it had given back, and others have committed it since: more may be "
        "spent than the period's allotment or cash holds.",
        "Add to the allotment and the cash of the period; the alarm closes once they hold the list.",
    ),
    "price_missing": Cause(
        "For five minutes no price of a bitcoin could be made in a currency: nothing is quoted in it. The message names the "
        "rule that stands against it.",
        "Look at its sources under Prices. Mend or replace those that say nothing; two security administrators set them, "
        "and two treasurers give a price by hand. A price closes the alarm.",
    ),
    "price_breaker_open": Cause(
        "The price of a bitcoin jumped by more than the currency's rule allows: nothing is quoted in it.",
        "Compare the sources with others. One treasurer asks to close the breaker at the price that is right, and another "
        "confirms it.",
    ),
    "reserve_reused": Cause(
        "An address of a holding received bitcoin after something of it was spent: its public key is known, and what it "
        "holds can be tied together.",
        "See the holding's page. Move what is there to a fresh address, and give senders another; the next scan closes the "
        "alarm.",
    ),
    "reserve_over_cap": Cause(
        "An address of a holding has more than the holding's cap, by the newest scan or by what was declared.",
        "Split it over fresh addresses, or have two security administrators set another cap; the next scan closes the "
        "alarm.",
    ),
    "reserve_unscanned": Cause(
        "No scan of the public sector's addresses stands for twice the time of GOVPAY_RESERVE_S: balances are old, or their "
        "block left the chain.",
        "Read why the last one was inconclusive under Holdings; start the workers or mend the node. A scan closes the "
        "alarm.",
    ),
    "trust_below_floor": Cause(
        "A convertibility trust has less cash than its floor, besides what it owes people: it takes no bitcoin for "
        "currency. What people are owed is covered.",
        "Its board pays capital in, sells bitcoin, or lowers the floor; two of its three members sign. The decision closes "
        "the alarm.",
    ),
    "trust_above_cap": Cause(
        "A convertibility trust has more bitcoin than its cap, with what it took and has not got yet: it takes none.",
        "Its board sells bitcoin or raises the cap; two of its three members sign. The decision closes the alarm.",
    ),
    "inflow_unclassed": Cause(
        "Outputs came to an institution's addresses, and for a day nobody has said what for: they are in no count "
        "of what was added.",
        "Class them under Inflows, and have another treasurer confirm it; once all are, the alarm closes.",
    ),
    "institution_unknown": Cause(
        "Outputs came to addresses of an institution of which nobody has said under which law it is: they cannot "
        "be classed.",
        "Two security administrators set it up under Institutions; the alarm closes then.",
    ),
    "institution_over_cap": Cause(
        "An institution holds more on verified addresses than two people said that it may.",
        "Decide on a conversion, or have two security administrators set another cap. The next scan closes the "
        "alarm; nothing is converted by itself.",
    ),
    "accumulation_over_ceiling": Cause(
        "By what two people classed, institutions added more bitcoin on net than the ceiling of their law.",
        "Compare the report accumulation with the law that the message names, and decide on a conversion. The "
        "next scan closes the alarm.",
    ),
    "exposure_float": Cause(
        "A program's wallet holds more than the largest of its last three cycles: the rest is exposed to the "
        "price for nothing.",
        "Convert what is above, or have it paid out. The next look, once a day, closes the alarm; nothing is converted "
        "by itself.",
    ),
    "exposure_share": Cause(
        "Bitcoin is a larger share of an institution's reserves than its limit, by the quote of the newest scan.",
        "Decide on a conversion, or have two security administrators set the limit or the other reserves anew. "
        "The next scan closes the alarm.",
    ),
    "exposure_var": Cause(
        "By the price of the last days, an institution may lose more of its bitcoin within a day than its limit.",
        "Decide on a conversion, or have two security administrators set another limit. The next scan closes the "
        "alarm.",
    ),
    "grievance_overdue": Cause(
        "A grievance is not answered within the time that its program promises.",
        "Take it, or have its owner answer it, under Grievances; the answer closes the alarm.",
    ),
    "reconciliation_break": Cause(
        "The newest reconciliation of a program found differences between claims, books and blocks.",
        "Open the run's cases under Reconciliation; two people explain each. A clean run closes the alarm.",
    ),
    "reconciliation_overdue": Cause(
        "No reconciliation of the program has proved anything for two days, or no full one for two weeks, or twice the "
        "times that the settings name.",
        "Read the reason of its last runs; start the workers, or mend the node. A full run that does not end within an hour "
        "is made by manage.py reconcile --full. The next run that proves something closes the alarm.",
    ),
    "seals_broken": Cause(
        "What is stored of the books' tree contradicts what was sealed: somebody changed it behind the guards. No "
        "checkpoint is signed.",
        "Run manage.py verify_seals, which names the entries, and compare with a checkpoint that somebody else keeps.",
    ),
}
