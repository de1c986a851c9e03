/** The data worker, and a way to make it throw: a message on the channel `fail`, as `failWorkers` sends it. */
import '../../src/worker.js';

const channel = new BroadcastChannel('fail');
channel.onmessage = () => {
  throw new Error('made to fail by a test');
};
// The channel must not keep a stopping worker alive.
(channel as unknown as { unref(): void }).unref();
