// Loaded into NNI's manager before its own code (NODE_OPTIONS --require), which has no option for any of this: it listens
// on all interfaces, does what any web page asks, outlives the process that started it, calls a trial that was stopped
// early one that the user cancelled, and gives up when its tuner takes ten seconds to start.
'use strict';
const http = require('http');
const Module = require('module');
const net = require('net');

// A port without a host becomes a port of 127.0.0.1.
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (...args) {
  const first = args[0];
  if (first !== null && typeof first === 'object' && 'port' in first) {
    args[0] = Object.assign({}, first, { host: '127.0.0.1' });
  } else if (typeof first === 'number' || (typeof first === 'string' && /^\d+$/.test(first))) {
    typeof args[1] === 'string' ? (args[1] = '127.0.0.1') : args.splice(1, 0, '127.0.0.1');
  }
  return listen.apply(this, args);
};

// Answers this very server's pages only, not those of other origins nor names that were rebound to 127.0.0.1; and shows,
// no more: what a page may ask for changes nothing. (NNI's own processes send no origin.)
function refusal(request) {
  const host = request.headers.host || '';
  const origin = request.headers.origin;
  if (!/^(127\.0\.0\.1|localhost)(:\d+)?$/.test(host) || (origin && origin !== 'http://' + host)) {
    return 'only pages of this server may ask';
  }
  return origin && !['GET', 'HEAD'].includes(request.method) ? 'this is a view: the search decides, on its command line' : '';
}
const emit = http.Server.prototype.emit;
http.Server.prototype.emit = function (event, request, ...rest) {
  const reason = event === 'request' || event === 'upgrade' ? refusal(request) : '';
  if (!reason) {
    return emit.call(this, event, request, ...rest);
  }
  if (event === 'request') {
    rest[0].writeHead(403, { 'Content-Type': 'application/json' });
    rest[0].end(JSON.stringify({ error: reason }));
  } else {
    rest[0].destroy();
  }
  return true;
};

// NNI notes that a trial is stopped early when it has ended, which is too late for its state; and a tuner that starts on a
// machine at work needs its time, which server.py bounds.
const load = Module._load;
Module._load = function (name, ...rest) {
  const loaded = load.call(this, name, ...rest);
  if (name.endsWith('/tuner_command_channel')) {
    loaded.getTunerServer().init = function () {
      return this.connect.promise;
    };
  }
  if (name.endsWith('v3/compat') && loaded.V3asV1 && !loaded.V3asV1.mended) {
    loaded.V3asV1.mended = true;
    const cancel = loaded.V3asV1.prototype.cancelTrialJob;
    loaded.V3asV1.prototype.cancelTrialJob = function (id, isEarlyStopped) {
      this.trialJobs[id].isEarlyStopped = Boolean(isEarlyStopped);
      return cancel.call(this, id, isEarlyStopped);
    };
  }
  return loaded;
};

// Ends with its parent, however that ends, and takes all of its group with it: its tuner would look for another manager.
const parent = process.ppid;
setInterval(() => {
  if (process.ppid !== parent) {
    try {
      process.kill(-process.pid, 'SIGKILL');
    } finally {
      process.exit(1);
    }
  }
}, 1000).unref();
