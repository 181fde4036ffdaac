// node watch.js URL CHANNEL: print a line of JSON for every change of the
// attempts of a channel.
//
//   node docs/examples/watch.js 'ws://127.0.0.1:7878/ws?token=...' attempts:1

globalThis.WebSocket ??= require('ws');

const [address, channel] = process.argv.slice(2);
const [url, token] = address.split('?token=');

import('./live.mjs').then(({ connect, Attempts }) => {
	const attempts = new Attempts(channel);

	connect(url, async () => token, [channel], (message, socket) => {
		if (message.error) console.error(message.error);
		if (attempts.apply(message))
			socket.send(JSON.stringify({ action: 'subscribe', subscriptions: [channel] }));
		else
			console.log(JSON.stringify([...attempts.rows.values()]));
	}, (...state) => console.error(...state));
});
