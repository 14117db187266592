// Package correlation holds the language in which g0's correlation rules are
// written, its loader, and the built-in rules. It knows neither events nor
// windows: pipeline/stage/correlate applies the rules.
//
// # A rule file
//
//	types: [shop.refund]        # optional: types of this deployment's own senders
//	rules:
//	  - id: ACME-001            # letters, "-", digits; unique among all files
//	    title: Refund after an injection
//	    type: refund_fraud      # the event that a match gives is threat.refund_fraud
//	    severity: high          # info, low, medium, high, critical
//	    confidence: 0.7         # that a match is an attack, 0 to 1
//	    attack: [T1059]         # MITRE ATT&CK techniques, optional
//	    atlas: [AML.T0051]      # MITRE ATLAS techniques, optional
//	    narrative: "{agent}: {first}, and {span} later {last}."
//	    key: agent              # agent (default), session, container, host, gateway
//	    within: 5m              # more than 0, at most 24h
//	    distinct: process       # optional
//	    sequence:               # or all:, or count:
//	      - types: [injection.detected]
//	      - types: [shop.refund]
//	        where: this.data.amount > 100
//	    unless:                 # optional
//	      types: [shop.refund_approved]
//	      within: 30s
//	      before: 30s           # optional
//	      same: command         # optional
//
// Every mistake in a file is told with its line, and a file with a mistake is
// not used: a rule that silently never fires is worse than none.
//
// # Steps
//
// A step says which events are a hit. All that it names must hold:
//
//   - types: one of these event types. "@security" stands for every security
//     type that g0 knows; "!log.tampering" takes a type out again. Types that
//     g0 does not know must be listed under the file's types, so that a slip of
//     the pen is found. Threats are never seen by correlation rules.
//   - tools: the event's tool has one of these names.
//   - has: the event has all of these: process.command (the process is a command
//     that the agent asked for), tool.command, network.domain, container.id.
//   - is: each field named has one of the values listed, or none of those with "!"
//     in front: {file.name: [SOUL.md], coverage.reason: ["!unknown event"]}. Fields
//     are baseline.feature, baseline.item, cause.type (of the event from which g0
//     concluded this one), coverage.part (the first word of what is
//     lost), coverage.reason, file.name (without its folder; of a rename either
//     name), file.op.
//   - where: a Bloblang expression over the event's JSON form without the raw
//     record. It is asked last and only if all else holds. It has no functions, and
//     only methods whose answer depends on nothing else and whose cost is
//     proportional to the event; any and all look at their element only. An
//     expression that fails, or an event too large for it, counts as false, and g0
//     says so with coverage.lost, at most once an hour a rule.
//
// A step that accepts different things for different types lists them under
// any; one is enough. name is for the reader and for messages.
//
// # Matches
//
// Hits are collected for each key (an agent, a session …) by the time at which
// g0 received them, and stay for within.
//
//   - all: every step was hit, in any order.
//   - sequence: every step was hit, in this order. Order is by the source's
//     clock where that is near g0's, so events that overtake each other on their
//     way still match.
//   - count: {of: step, min: N}: the step was hit at least N times.
//
// One event is the hit of one step of a match, and so is an event together with
// all that g0 concluded from it. With distinct: process (two steps only) what one
// process does within a second is one hit as well: a command that two policies
// report. After a match the rule is mute
// for that key for within, unless stronger evidence about who did it comes.
//
// unless takes a match back: if such an event of the same key is in the window,
// or comes within unless.within after the match. Without unless.within only what
// is already there counts, and nothing waits. It believes the event it names:
// name one that an agent cannot send.
//
// unless.before lets such an event count only from then on before the last step
// of the match, by the source's clock or g0's, whichever shows them near; and
// with unless.same: command it counts only if its command is that of the last
// step, blanks aside. Then each hit of the last step is judged by itself: one that
// is explained hides none that is not. With before and without same, the event
// also ends the time for which the rule is mute.
//
// # Keys
//
// With key agent, events whose agent is known meet in that agent's window. One
// gateway process often runs several agents, and then a kernel sensor knows only
// the gateway: such an event meets the gateway's other events in the gateway's
// window. A match there needs at least one event without an agent, must not mix
// two agents, and is reported with 0.8 of the confidence; where more than one
// agent can explain it, it names only the gateway.
//
// With key gateway all events of a gateway meet, whichever agent they are of; an
// agent without a gateway is one by itself. A match names the agent only if all its
// events do.
//
// With key host, events that name no host, as g0's own and those of plugins do
// not, are of the host on which g0 runs; its name is learned from the sensors on
// it. What g0 did not see for a time (coverage.lost) also meets what came within
// the window before that time began.
//
// # Narrative
//
// {agent}, {session}, {container}, {host} say who; {first} and {last} are the
// summaries of the first and last event, {count} how many there are, {span} the
// time between them. Nothing else is replaced, and nothing in the replaced text.
//
// # Tests
//
// Beside rules.yaml may stand rules.test.yaml with cases: see [Cases].
package correlation
