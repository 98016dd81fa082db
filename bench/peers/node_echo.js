// node_echo.js: echo with node's net module: node node_echo.js PORT.
'use strict';
const net = require('net');

net.createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => socket.destroy());
  socket.pipe(socket);
}).listen({ host: '127.0.0.1', port: Number(process.argv[2]), backlog: 4096 });
