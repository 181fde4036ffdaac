// A client on the package "ws" (of npm, or Debian's node-ws): what a user of the
// API would write.
//
//   node client.js URL [channel...]
//
// Subscribes to the channels, and prints a line of JSON for everything that
// happens: {"open":..., "protocol":...}, {"message":...}, {"ping":...}, {"close":...},
// {"refused":...}.  Lines on standard input are sent as text; the line "." and
// the end of the input close the connection.  QUIZRT_PROTOCOLS, a list with
// commas, is offered as subprotocols.

'use strict';

const { createInterface } = require('node:readline');
const WebSocket = require('ws');

const [url, ...channels] = process.argv.slice(2);
const protocols = (process.env.QUIZRT_PROTOCOLS || '').split(',').filter(Boolean);
const socket = new WebSocket(url, protocols, { handshakeTimeout: 10000 });
const tell = (event) => console.log(JSON.stringify(event));

socket.on('open', () => {
	tell({ open: socket.extensions, protocol: socket.protocol });
	if (channels.length > 0)
		socket.send(JSON.stringify({ action: 'subscribe', subscriptions: channels }));
	const close = () => socket.close(1000, 'good-bye');
	createInterface({ input: process.stdin })
		.on('line', (line) => (line === '.' ? close() : socket.send(line)))
		.on('close', close);
});
socket.on('message', (data, isBinary) =>
	tell(isBinary ? { binary: data.length } : { message: JSON.parse(data) }));
socket.on('ping', (data) => tell({ ping: data.length }));
socket.on('unexpected-response', (request, response) => {
	let body = '';
	response.on('data', (chunk) => (body += chunk));
	response.on('end', () => {
		tell({ refused: response.statusCode, body: JSON.parse(body) });
		process.exit(0);
	});
});
socket.on('close', (code, reason) => {
	tell({ close: code, reason: reason.toString() });
	process.exit(0);
});
socket.on('error', (error) => {
	tell({ error: error.message });
	process.exit(1);
});
