// What a page that shows live attempts needs: a connection that comes back, and
// the attempts of a channel as they are now.  For browsers as it is, and for
// Node.js from version 22 on; older ones take WebSocket from the package "ws".

// Connect and subscribe, and do so again whenever the connection is lost.  The
// credential is asked for at every attempt, as it may have expired meanwhile.
export function connect(url, credential, subscriptions, onMessage, onState = () => {}) {
	const delays = [1000, 2000, 4000, 8000, 16000];
	let failures = 0, socket, timer, ended = false;

	async function open() {
		let token;

		try {
			token = await credential();
		} catch {
			return again({ code: 0, reason: 'no credential' });
		}
		if (ended) return;
		socket = new WebSocket(`${url}?token=${encodeURIComponent(token)}`);
		socket.onopen = () => {
			onState('open');
			socket.send(JSON.stringify({ action: 'subscribe', subscriptions }));
		};
		socket.onmessage = ({ data }) => {
			failures = 0;	// it works: the next loss begins with the shortest delay
			onMessage(JSON.parse(data), socket);
		};
		socket.onclose = again;
		socket.onerror = () => {};	// the close that follows says it
	}
	// A refused upgrade (401, 503) comes to a browser as a close with 1006.
	function again({ code, reason }) {
		onState('closed', code, reason);
		if (ended || code === 4403) return;	// access was taken away
		if (failures === delays.length) return onState('given up');
		timer = setTimeout(open, delays[failures++] * (0.5 + Math.random() / 2));
	}
	open();
	return () => { ended = true; clearTimeout(timer); socket?.close(1000); };
}

// The attempts of one channel "attempts:<id>": hand it every message of the
// connection.  apply() returns true where a fresh snapshot is needed, which
// comes when the channel is subscribed to again.
export class Attempts {
	constructor(channel) {
		this.channel = channel;
		this.rows = new Map();
		this.answers = new Map();	// score by answer, of those seen since the snapshot
	}

	apply(message) {
		if (message.event === 'snapshot' && message.subscriptions.includes(this.channel)) {
			this.rows = new Map(message.snapshot.map((row) => [row.attempt_id, row]));
			this.answers.clear();
		}
		if (message.event !== 'update' || message.channel !== 'attempts') return false;
		const { t, data } = message;
		const row = this.rows.get(data.attempt_id);

		if (t === 'attempt_quiz') {
			this.rows.set(data.attempt_id, { ...data, answered_count: 0, score: 0,
				submitted_at: null, reason: null, time_taken_ms: null, labels: [] });
			return false;
		}
		if (row === undefined) return true;
		if (t === 'attempt_flagged')
			row.labels = [...new Set([...row.labels, ...data.labels])];
		if (t === 'attempt_finished') {
			row.answered_count = data.answered_count;
			row.time_taken_ms = data.time_taken_ms;
		}
		return t === 'attempt_update' && this.#answered(row, data);
	}

	// The message has the score of the answer, not of the attempt.  That of an
	// answer that was changed is known only if it was seen when it was given.
	#answered(row, data) {
		const old = this.answers.get(data.answer_id);
		const isNew = data.answered_count > row.answered_count;

		this.answers.set(data.answer_id, data.score ?? 0);
		if (old === undefined && !isNew) return true;
		row.answered_count = data.answered_count;
		row.score += (data.score ?? 0) - (old ?? 0);
		return false;
	}
}
