// SO_ORIGINAL_DST, IP_TRANSPARENT and SO_MARK of the native engine, against the kernel's own redirection in a network namespace that the test makes.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import type { ConnectionInfo } from '../../src/network/engine.js';
import { engines } from '../support/engines.js';

interface Seen {
  readonly v4: ConnectionInfo;
  readonly v6: ConnectionInfo;
  readonly dual: ConnectionInfo;
  readonly direct: ConnectionInfo;
  readonly transparent: ConnectionInfo;
  readonly marked: number;
}

/** Why it cannot be shown here; empty: it can. */
function obstacle(): string {
  if (!engines().some(([name]) => name === 'native')) return 'the native engine is not asked for, or not there';
  const probe = 'ip link set lo up && nft add table ip probe && nft add chain ip probe c "{ type nat hook output priority -100; }"';
  const { status, stderr, error } = spawnSync('unshare', ['-n', 'sh', '-c', probe], { encoding: 'utf8' });
  return status === 0 ? '' : `no network namespace with nftables: ${error?.message ?? stderr.trim()}`;
}

const reason = obstacle();
if (reason !== '') console.log(`skipped: interception: ${reason}`);
test('native: sees where redirected connections were going, takes those for others, and marks its own', {
  skip: reason === '' ? false : reason,
}, () => {
  const stage = fileURLToPath(new URL('../support/interception-stage.js', import.meta.url));
  const { stdout, stderr } = spawnSync('unshare', ['-n', process.execPath, stage], { encoding: 'utf8', timeout: 20_000 });
  assert.notEqual(stdout, '', stderr);
  const seen = JSON.parse(stdout) as Seen;
  assert.deepEqual(seen.v4.originalDst, { ip: '10.9.8.7', port: 80 });
  assert.deepEqual(seen.v6.originalDst, { ip: 'fd00:9::7', port: 80 });
  assert.deepEqual(seen.dual.originalDst, { ip: '10.9.8.7', port: 80 }, 'an IPv4 client of a dual-stack listener');
  assert.equal(seen.direct.originalDst, undefined, 'one that was not redirected has none');
  assert.deepEqual(seen.transparent.local, { ip: '192.0.2.1', port: 8080 });
  assert.equal(seen.marked, 1);
});
