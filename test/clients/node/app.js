// A shop of one page: it serves /checkout, asks itself for it N times over HTTP, and ends. It is run with
// --require @opentelemetry/auto-instrumentations-node/register, which makes the spans; nothing here knows of tracing.
// Usage: app.js N
const http = require('node:http');
const express = require('express');

const app = express();
app.get('/checkout/:order', (req, res) => {
  if (req.params.order % 5 === 4) throw new Error(`order ${req.params.order} has no items`);
  res.json({ order: req.params.order });
});
app.use((err, req, res, next) => res.status(500).send(err.message));

function get(url) {
  return new Promise((resolve, reject) => {
    http.get(url, (res) => res.resume().on('end', resolve)).on('error', reject);
  });
}

const server = app.listen(0, '127.0.0.1', async () => {
  for (let i = 0; i < Number(process.argv[2]); i++) {
    await get(`http://127.0.0.1:${server.address().port}/checkout/${i}`);
  }
  server.close();
  process.kill(process.pid, 'SIGTERM'); // the SDK sends what it holds when the process is told to end
});
