/** Stock SOFABolt and Dubbo peers on both sides of the proxy. */
import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { engines } from '../support/engines.js';
import { eventually } from '../support/peers.js';
import { DubboClient } from './dubbo-client.js';
import { Hops } from './hops.js';
import { JavaPeer, javaMissing, type Said } from './java-peer.js';
import { together } from './stock.js';

const missing = javaMissing();
if (missing !== undefined) console.log(`skipped: ${missing}`);

const GREETER = 'sluice.interop.Greeter';
const BOLT_VERSIONS = ['v1', 'v2', 'v2-crc'];
/** A retry goes to another host. */
const PREVIOUS_HOSTS = {
  name: 'envoy.retry_host_predicates.previous_hosts',
  typed_config: { '@type': 'type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate' },
};
const SERIALIZATIONS = ['hessian2', 'fastjson2'];

test('stock Java peers', { skip: missing ?? false }, async (context) => {
  const [server, client] = [new JavaPeer(), new JavaPeer()];
  context.after(() => Promise.all([server.stop(), client.stop()]));
  const [bolt, dubbo] = [await portFrom(server, 'bolt-server'), await portFrom(server, 'dubbo-provider name=first')];

  for (const [engine] of engines()) {
    await context.test(`${engine}: SOFABolt clients share connections to a SOFABolt server`, async (context) => {
      const hops = await Hops.open(context, { engine, codecs: ['bolt'], routes: [{ servers: [bolt] }] });
      for (const [hop, port] of hops.ports)
        for (const version of BOLT_VERSIONS)
          await report(context, hops, `${version} through ${hop}`, await client.run(`bolt-client port=${port} version=${version}`));
      assert.equal(hops.shared(hops.near, 'up-0'), 1);
      assert.equal(hops.shared(hops.far, 'up-0'), 1);
      assert.ok(hops.total('rpc.in.downstream_rq_heartbeat') > 0);
      await isClean(hops);
    });

    await context.test(`${engine}: Dubbo consumers share connections to a Dubbo provider`, async (context) => {
      const hops = await Hops.open(context, { engine, codecs: ['dubbo'], routes: [{ servers: [dubbo] }] });
      for (const [hop, port] of hops.ports)
        for (const serialization of SERIALIZATIONS)
          await report(
            context,
            hops,
            `${serialization} through ${hop}`,
            await client.run(`dubbo-consumer port=${port} serialization=${serialization}`),
          );
      assert.equal(hops.shared(hops.near, 'up-0'), 1);
      await isClean(hops);
    });

    await context.test(`${engine}: dubbo2.js clients share connections to a Dubbo provider`, async (context) => {
      const hops = await Hops.open(context, { engine, codecs: ['dubbo'], routes: [{ service: GREETER.toLowerCase(), servers: [dubbo] }] });
      for (const [hop, port] of hops.ports)
        await context.test(hop, async (context) => {
          const clients = Array.from({ length: 3 }, () => new DubboClient(port));
          context.after(() => {
            for (const client of clients) client.close();
          });
          const services = clients.map((client) => client.service(GREETER));
          await together(200, async (index) => {
            const key = `${hop}/${index}/${'ä字'.repeat(index)}`;
            assert.deepEqual(await services[index % 3].later(key, index % 5), { res: `later ${key}`, err: null });
          });
          assert.equal((await services[0].who('', 0)).res, 'first');
        });
      assert.equal(hops.shared(hops.near, 'up-0'), 1);
      await isClean(hops);
    });

    await context.test(`${engine}: consumers go on when one of two Dubbo providers stops gracefully`, async (context) => {
      const second = new JavaPeer();
      context.after(() => second.stop());
      const other = await portFrom(second, 'dubbo-provider name=second');
      const retry = { retry_on: 'connect-failure', num_retries: 3, retry_host_predicate: [PREVIOUS_HOSTS], host_selection_retry_max_attempts: 5 };
      const hops = await Hops.open(context, { engine, codecs: ['dubbo'], routes: [{ servers: [dubbo, other], retry }] });
      for (const [hop, port] of hops.ports.slice(0, 1)) {
        let running = () => {};
        const started = new Promise<void>((resolve) => {
          running = resolve;
        });
        const steady = client.run(`dubbo-steady port=${port} ms=3000`, running);
        await started;
        await new Promise((resolve) => setTimeout(resolve, 500));
        const stopped = await second.run('dubbo-provider-stop');
        const said = await steady;
        await report(context, hops, `through ${hop}`, said);
        assert.ok(Number(said.results.get('first')) > 100);
        // What it answered arrived.
        assert.equal(said.results.get('second'), stopped.results.get('answered'));
      }
      assert.equal(hops.near.stat('cluster.up-0.upstream_cx_close_notify'), 1);
    });
  }
});

async function portFrom(peer: JavaPeer, command: string): Promise<number> {
  const { results } = await peer.run(command);
  return Number(results.get('port'));
}
/** Each case of a command as a test of its own. */
async function report(context: TestContext, hops: Hops, title: string, { cases }: Said): Promise<void> {
  assert.ok(cases.length > 0);
  if (cases.some(({ failure }) => failure !== undefined)) context.diagnostic(hops.account());
  for (const { name, failure } of cases) await context.test(`${title}: ${name}`, () => assert.equal(failure, undefined));
}
/** Nothing is left open, and no peer broke its protocol. */
async function isClean(hops: Hops): Promise<void> {
  await eventually(() => hops.total('rpc.in.downstream_rq_active') === 0, 'no request is open');
  assert.equal(hops.total('cluster.up-0.upstream_rq_active'), 0);
  assert.equal(hops.total('rpc.in.downstream_cx_protocol_error'), 0);
  assert.equal(hops.total('cluster.up-0.upstream_cx_protocol_error'), 0);
}
