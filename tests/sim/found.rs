//! Seeds that once broke something, with what they found. A seed's story changes when the engine draws or calls in another
//! order, so the list says what was found, and the stories tell the plain ones for good.

use crate::life::{Play, play};

const FOUND: [(Play, u64, &str); 104] = [
    (Play::Calm, 7, "child rows of a part that was emptied"),
    (
        Play::Calm,
        78,
        "a conflict that waited was lost to a deletion",
    ),
    (
        Play::Calm,
        81,
        "a value that the service trims was sent for ever",
    ),
    (
        Play::Calm,
        134,
        "a review went away while its contact could not be read",
    ),
    (
        Play::Calm,
        156,
        "a pair that never agreed was merged without looking at the contact",
    ),
    (
        Play::Calm,
        342,
        "the newest contact's deletion was taken for a restored backup",
    ),
    (
        Play::Busy,
        9,
        "child rows stayed when their contact was made anew",
    ),
    (
        Play::Busy,
        67,
        "a contact just made, whose row vanished, became a stranger",
    ),
    (
        Play::Busy,
        106,
        "a row deleted since the plan was made into a contact",
    ),
    (
        Play::Busy,
        119,
        "a row that can't be addressed was dropped without a word",
    ),
    (
        Play::Busy,
        350,
        "without a linked contact left, no absence could be proved",
    ),
    (
        Play::Busy,
        1877,
        "a template that our own push changed brought a deleted row back",
    ),
    (
        Play::Foul,
        2,
        "an edit before the first read-back counted as agreed",
    ),
    (
        Play::Foul,
        15,
        "after a kill, what was sent was not known any more",
    ),
    (
        Play::Foul,
        124,
        "after a kill, a field that a user emptied was filled again",
    ),
    (
        Play::Foul,
        146,
        "after a kill, an edit of a new contact was lost to a deletion",
    ),
    (
        Play::Foul,
        524,
        "a row made twice left the first one's place in the index",
    ),
    (
        Play::Foul,
        687,
        "the same after a push whose reading back failed",
    ),
    (
        Play::Foul,
        1934,
        "after a kill, a value that the service re-cased brought a deleted row back",
    ),
    (
        Play::Foul,
        1490,
        "after a kill, a row made in another's place forgot what it was made of",
    ),
    (
        Play::Foul,
        779,
        "after a kill, child rows just written stayed when their part was emptied",
    ),
    (
        Play::Foul,
        616,
        "the oracle knew no deletion between look-up and push before the first meeting",
    ),
    (
        Play::Foul,
        1609,
        "a kill between the first push of a new pair and its link made them meet anew",
    ),
    (
        Play::Foul,
        1494,
        "a dead contact's address and a cut value took more than one run to settle",
    ),
    (
        Play::Foul,
        1256,
        "sent again at once, an edit since the first push lost to a first meeting",
    ),
    (
        Play::Foul,
        132,
        "a newcomer was held because of a contact that was being buried",
    ),
    (
        Play::Foul,
        453,
        "a restored contact whose push was lost waited for a full read",
    ),
    (
        Play::Foul,
        69,
        "a resumed first load left what had changed for the next run",
    ),
    (
        Play::Busy,
        7923,
        "a row that moved while it won a conflict made its pair meet anew",
    ),
    (
        Play::Foul,
        5485,
        "after a kill, a restored row whose contact had gone was taken for a newcomer",
    ),
    (
        Play::Foul,
        6143,
        "a second announcement forgot the parts of the first",
    ),
    (
        Play::Foul,
        7396,
        "a late update made a second contact at the old address, and that one a second row",
    ),
    (
        Play::Foul,
        2983,
        "the same, with the contact that it was meant for deleted before a kill",
    ),
    (
        Play::Foul,
        6504,
        "a new contact got another address before it was read back, and became a second row",
    ),
    (
        Play::Busy,
        30_112,
        "a row edited while the service ignored a push of it was given up with the push",
    ),
    (
        Play::Foul,
        29_380,
        "child rows that a killed first load had made stayed when their part was emptied before the link was made",
    ),
    (
        Play::Foul,
        6492,
        "the same, with the contact deleted and the row sent as a new one",
    ),
    (Play::Foul, 16_722, "the same, with a second kill"),
    (Play::Foul, 28_669, "the same, with four more kills"),
    (
        Play::Foul,
        19_014,
        "child rows that a killed run had written stayed when the row was sent as a new contact",
    ),
    (
        Play::Foul,
        10_952,
        "a row of a killed first load whose contact had gone was never looked at again",
    ),
    (
        Play::Foul,
        25_966,
        "the same after any other run, where the journal leaves out what the bridge wrote itself",
    ),
    (
        Play::Foul,
        10_698,
        "the same child rows stayed beside a row that was marked as deleted and revived",
    ),
    (
        Play::Foul,
        11_938,
        "an oracle that knew whether a push of a killed run had been rewritten by the service or by somebody",
    ),
    (
        Play::Foul,
        20_484,
        "an oracle that knew whether a push of a killed run had reached a contact deleted since",
    ),
    (
        Play::Foul,
        15_540,
        "an oracle that took a look at one contact, to prove the look-up, for a look at what became of it",
    ),
    (
        Play::Foul,
        20_035,
        "an oracle that told two values apart which the service cuts to the same",
    ),
    (
        Play::Foul,
        28_799,
        "an oracle that took a field empty before the two had met for an edit",
    ),
    (
        Play::Busy,
        33_082,
        "an oracle that took for agreed what a run had left to the next one",
    ),
    (
        Play::Foul,
        13_859,
        "a contact that a late push had made in the place of a deleted one waited for a person, and the row was sent over it",
    ),
    (
        Play::Foul,
        15_790,
        "a row that a killed run had made for a contact known to be gone was linked to it, and sent two runs later",
    ),
    (
        Play::Foul,
        26_352,
        "a contact that a row had waited for was known to be gone only after the row was planned, and the row went a run late",
    ),
    (
        Play::Busy,
        25_058,
        "sent three times, a record forgot what its first push had changed besides what it sent; its row deleted, that was an edit",
    ),
    (
        Play::Narrow,
        52,
        "an edit of a field that only pulls outlived the full read that saw it first",
    ),
    (
        Play::Narrow,
        89,
        "a decision stayed when its row had been made again, and answered for the next deletion",
    ),
    (
        Play::Narrow,
        338,
        "a decision stayed when the run was killed between a deletion and its record",
    ),
    (
        Play::Narrow,
        415,
        "a decision on a conflict deleted a row that nobody had been asked about",
    ),
    (
        Play::Narrow,
        654,
        "a question about a contact stayed when a recovered run gave its row another one",
    ),
    (
        Play::Narrow,
        763,
        "a decision on a conflict deleted a row whose contact had been made a second time",
    ),
    (
        Play::Narrow,
        977,
        "a decision on a deletion took a row that was edited after the question",
    ),
    (
        Play::Narrow,
        3361,
        "a first load that went on after a kill left an edit of a field that only pulls",
    ),
    (
        Play::Kin,
        7,
        "a contact was made anew under an address that another one had by then, and the service took the two for one",
    ),
    (
        Play::Kin,
        551,
        "a row that was taken back after a push to its contact went on showing the name of before",
    ),
    (
        Play::Kin,
        4328,
        "a person was asked about the deletion of a row that was back as before",
    ),
    (
        Play::Kin,
        5988,
        "a row that was to be restored, and that a user took back and edited first, was overwritten",
    ),
    (
        Play::Kin,
        11431,
        "a contact that was known to be gone, and waited for a person, kept its address from others",
    ),
    (
        Play::Kin,
        1597,
        "a field that a killed run had left out of a row passed for filled, and went over the contact's",
    ),
    (
        Play::Rare,
        2786,
        "a contact restored and edited since was overwritten once its question had been asked",
    ),
    (
        Play::Rare,
        4350,
        "the same after a kill in the run that carried a backup back",
    ),
    (
        Play::Rare,
        2318,
        "what a person was asked about after a backup passed for an edit once another field had been sent",
    ),
    (
        Play::Rare,
        5560,
        "what could not be sent to a restored contact came back from it as an edit",
    ),
    (
        Play::Rare,
        6204,
        "a replica showed a dead contact in the place of the one just made, and the row was overwritten with it",
    ),
    (
        Play::Rare,
        7319,
        "a field that a user emptied beside the unproved push of a first meeting was filled again",
    ),
    (
        Play::Rare,
        13039,
        "a field that a killed run had filled at a first meeting, and that a user emptied, was filled again",
    ),
    (
        Play::Rare,
        14328,
        "a deletion that came after an accepted backup was undone by the full read that followed",
    ),
    (
        Play::Rare,
        15582,
        "a contact that had stood there before a lost push passed for the one that was made",
    ),
    (
        Play::Rare,
        18081,
        "two rows whose pushes had found one contact after a merge took it in turns",
    ),
    (
        Play::Rare,
        18627,
        "a push whose proof could not be read looked like an edit of the contact, and brought a deleted row back",
    ),
    (
        Play::Rare,
        18896,
        "a replica that lagged twice had an edit overwritten that the run had seen",
    ),
    (
        Play::Rare,
        19065,
        "a restored contact whose row a killed run had written flowed into the row",
    ),
    (
        Play::Rare,
        22985,
        "a dead contact came back to life, as a replica still had it",
    ),
    (
        Play::Rare,
        23248,
        "a contact that shows little of what was sent passed for the one that was made",
    ),
    (
        Play::Rare,
        24288,
        "a row was linked with a dead contact that a replica still had, and made a second person",
    ),
    (
        Play::Rare,
        25152,
        "a push that a replica did not show yet looked like an edit of the contact, and brought a deleted row back",
    ),
    (
        Play::Rare,
        31635,
        "a contact that was just made, and that a replica did not show, took its row with it",
    ),
    (
        Play::Rare,
        33032,
        "a second contact that a push had made was forgotten when it could not be read at once",
    ),
    (
        Play::Rare,
        103_144,
        "the older values of a restored contact passed for an edit, and its deleted row was made anew",
    ),
    (
        Play::Rare,
        105_095,
        "an edit that both sides had made alike told of a row that it had been filled, and a first meeting's value was overwritten",
    ),
    (
        Play::Rare,
        121_910,
        "a contact that had taken over an External ID by a merge was linked by no re-link, and its row was sent again by every run",
    ),
    (
        Play::Rare,
        122_454,
        "a second contact that a push had made was not looked for, as the value of that push was given up",
    ),
    (
        Play::Rare,
        125_594,
        "an edit of a restored contact, made while the row's values were on their way to it, counted as restored",
    ),
    (
        Play::Rare,
        132_549,
        "an edit whose push was lost was forgotten, as its contact could not be read once",
    ),
    (
        Play::Rare,
        132_956,
        "a backup brought back none of the linked contacts, and nobody was told",
    ),
    (
        Play::Rare,
        135_712,
        "a second contact that a push had made became a row, as a first load went on after a kill",
    ),
    (
        Play::Rare,
        147_417,
        "an edit of a restored contact was overwritten by the run that went on after a kill, as the push before it had made its time agreed",
    ),
    (
        Play::Rare,
        149_541,
        "a contact that had stood there passed for one that was made, edited since, as the push to it landed late",
    ),
    (
        Play::Rare,
        207_511,
        "an edit of a restored contact was overwritten, as the proof of a killed run's push had made its time agreed",
    ),
    (
        Play::Rare,
        226_021,
        "child rows of a killed first load stayed when their row was marked, and made again",
    ),
    (
        Play::Rare,
        251_324,
        "a contact that could not be read was held no more, as it was looked at for a field that was never agreed",
    ),
    (
        Play::Rare,
        270_878,
        "a contact was deleted on the word of a replica, although a newer state of it had been seen",
    ),
    (
        Play::Rare,
        276_293,
        "child rows of a killed first load stayed when their row was marked before the next run, and a backup brought its contact back",
    ),
    (
        Play::Rare,
        289_630,
        "a field was emptied after its first meeting had come to nothing, and was filled again",
    ),
    (
        Play::Rare,
        401_031,
        "an edit of a contact that a killed run had made counted as restored with the backup that was accepted",
    ),
    (
        Play::Rare,
        407_126,
        "an old announcement of a contact that could not be read undid what was agreed since, and brought its row back",
    ),
];

#[test]
fn seeds_that_found_something_are_clean() {
    for (how, seed, found) in FOUND {
        assert_eq!(
            play(seed, how, None).broken,
            Vec::<String>::new(),
            "{how:?} {seed} once found: {found}"
        );
    }
}
