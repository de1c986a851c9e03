import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfigError } from '../base/errors.js';
import { addressText, checkListenOptions, connectOptions, isAbstract, knowsReusePort, socketPath } from './node-options.js';

test('knows which versions of Node have reusePort', () => {
  for (const version of ['22.12.0', '22.20.1', '23.1.0', '24.0.0', '26.3.0']) assert.equal(knowsReusePort(version), true, version);
  for (const version of ['20.20.2', '21.7.0', '22.11.0', '23.0.0']) assert.equal(knowsReusePort(version), false, version);
});

test('says what the fallback engine cannot do', () => {
  const listen = { address: { ip: '127.0.0.1', port: 0 }, profile: 0 };
  assert.throws(() => checkListenOptions({ ...listen, originalDst: true }), /SO_ORIGINAL_DST.*native engine/);
  assert.throws(() => checkListenOptions({ ...listen, transparent: true }), /IP_TRANSPARENT/);
  assert.throws(() => checkListenOptions({ ...listen, freebind: true }), /IP_FREEBIND/);
  assert.throws(() => checkListenOptions({ ...listen, mark: 7 }), /SO_MARK/);
  assert.doesNotThrow(() => checkListenOptions({ ...listen, backlog: 5, keepAlive: { idleS: 1 }, noDelay: false }));
  assert.throws(() => connectOptions({ address: { ip: 'name.example', port: 1 }, profile: 0 }), ConfigError);
  assert.throws(() => connectOptions({ address: { ip: '127.0.0.1', port: 1 }, profile: 0, source: { ip: 'nowhere' } }), ConfigError);
});

test('writes addresses as people do', () => {
  assert.equal(addressText({ ip: '1.2.3.4', port: 5 }), '1.2.3.4:5');
  assert.equal(addressText({ ip: '::1', port: 5 }), '[::1]:5');
  assert.equal(addressText({ path: '\0name' }), '@name');
  assert.equal(socketPath('@name'), '\0name');
  assert.ok(isAbstract('@name') && isAbstract('\0name') && !isAbstract('/name'));
});
