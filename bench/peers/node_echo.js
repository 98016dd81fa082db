// node node_echo.js PORT: echo server with node's net module.
'use strict';
const net = require('net');

net.createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => socket.destroy());
  socket.pipe(socket);
}).listen({ host: '127.0.0.1', port: Number(process.argv[2]), backlog: 4096 });
