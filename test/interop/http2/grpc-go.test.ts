/** grpc-go's own interoperability client and server, through the proxy: every case that needs nothing but the two. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { engines } from '../../support/engines.js';
import { goMissing, goProgram, run, serve } from '../programs.js';
import { freePort, listens, proxied } from './proxied.js';

const missing = goMissing();
if (missing !== undefined) console.log(`skipped: ${missing}`);

/** Those of grpc-go's own script and the two soaks; the others need credentials of a cloud, or a server that says its name. */
const CASES = [
  ...['empty_unary', 'large_unary', 'client_streaming', 'server_streaming', 'ping_pong', 'empty_stream', 'timeout_on_sleeping_server'],
  ...['cancel_after_begin', 'cancel_after_first_response', 'status_code_and_message', 'special_status_message', 'custom_metadata'],
  ...['unimplemented_method', 'unimplemented_service', 'orca_per_rpc', 'orca_oob', 'rpc_soak', 'channel_soak'],
];
/** The cases `orca_*` read the load that servers report with it. */
const SERVICE_CONFIG = JSON.stringify({ loadBalancingConfig: [{ test_backend_metrics_load_balancer: {} }] });
/** Two cases at a time on two cores. */
const AT_ONCE = 2;

test('grpc-go', { skip: missing ?? false }, async (context) => {
  const to = await freePort();
  const server = serve(goProgram('server'), ['-port', `${to}`]);
  context.after(() => server.stop());
  await listens(to);
  for (const [engine] of engines()) {
    const { port, proxy } = await proxied(context, engine, { to });
    await context.test(`${engine}: all cases`, { concurrency: AT_ONCE }, async (context) => {
      const left = [...CASES];
      const failures: string[] = [];
      const worker = async () => {
        for (let name = left.shift(); name !== undefined; name = left.shift()) {
          const args = ['-server_host', '127.0.0.1', '-server_port', `${port}`, '-test_case', name, '-service_config_json', SERVICE_CONFIG];
          const { code, out, err } = await run(goProgram('client'), args, 20_000);
          if (code !== 0) failures.push(`${name}: ${code ?? 'not done in time'}\n${out}${err}`);
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, worker));
      assert.deepEqual(failures, [], failures.join('\n'));
      context.diagnostic(`${CASES.length} cases`);
    });
    if (proxy !== undefined) assert.equal(await proxy.stat('cluster.up.upstream_cx_protocol_error'), 0);
  }
});
