import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Descriptors } from './descriptors.js';
import { loadMessage } from './loader.js';

const descriptors = new Descriptors();
const merged = (typeName: string, base: string, over: string) => {
  const loaded = loadMessage(base, typeName, { file: 'base.yaml', descriptors, overlay: { text: over, file: 'over.yaml' } });
  assert.deepEqual(loaded.problems, []);
  return loaded;
};
const BOOTSTRAP = 'envoy.config.bootstrap.v3.Bootstrap';

const CASES: readonly [title: string, typeName: string, base: string, over: string, expected: unknown][] = [
  ['a scalar replaces', 'envoy.config.core.v3.Locality', '{ region: a, zone: b }', '{ zone: c }', { region: 'a', zone: 'c' }],
  [
    'messages are merged field by field',
    BOOTSTRAP,
    'node: { id: a, locality: { zone: z } }',
    'node: { cluster: c, locality: { region: r } }',
    { node: { id: 'a', cluster: 'c', locality: { zone: 'z', region: 'r' } } },
  ],
  ['lists are appended', BOOTSTRAP, 'node_context_params: [a]', 'node_context_params: [b, a]', { nodeContextParams: ['a', 'b', 'a'] }],
  ['a wrapper replaces, even by its default', 'envoy.config.core.v3.TcpKeepalive', 'keepalive_time: 5', 'keepalive_time: 0', { keepaliveTime: 0 }],
  ['a duration replaces', BOOTSTRAP, 'stats_flush_interval: 5s', 'stats_flush_interval: 0.5s', { statsFlushInterval: 500 }],
  [
    'free JSON is merged by its top keys',
    BOOTSTRAP,
    'node: { metadata: { a: { x: 1 }, b: 2 } }',
    'node: { metadata: { a: { y: 3 } } }',
    { node: { metadata: { a: { y: 3 }, b: 2 } } },
  ],
  [
    'another member of a oneof unsets the first',
    'envoy.config.core.v3.Address',
    'pipe: { path: /a }',
    'socket_address: { address: h, port_value: 1 }',
    { socketAddress: { address: 'h', portValue: 1 } },
  ],
  [
    'the same member of a oneof is merged',
    'envoy.config.core.v3.Address',
    'pipe: { path: /a }',
    'pipe: { mode: 1 }',
    { pipe: { path: '/a', mode: 1 } },
  ],
  [
    'an Any is replaced whole',
    'envoy.config.core.v3.TypedExtensionConfig',
    '{ name: a, typed_config: { "@type": type.googleapis.com/envoy.config.core.v3.Locality, region: r } }',
    'typed_config: { "@type": type.googleapis.com/envoy.config.core.v3.Locality, zone: z }',
    { name: 'a', typedConfig: { '@type': 'type.googleapis.com/envoy.config.core.v3.Locality', zone: 'z' } },
  ],
];
for (const [title, typeName, base, over, expected] of CASES) {
  test(`merge: ${title}`, () => {
    assert.deepEqual(merged(typeName, base, over).message, expected);
  });
}

test('places are those of the text a value came from, appended items included', () => {
  const { source } = merged(
    BOOTSTRAP,
    'static_resources:\n  clusters:\n  - name: a\nnode: { id: x }\n',
    'static_resources:\n  clusters: [{ name: b }]\nnode:\n  cluster: y\n',
  );
  assert.deepEqual(source.locate('static_resources.clusters[0].name'), { file: 'base.yaml', line: 3, column: 11 });
  assert.deepEqual(source.locate('static_resources.clusters[1].name'), { file: 'over.yaml', line: 2, column: 22 });
  assert.deepEqual(source.locate('node.id'), { file: 'base.yaml', line: 4, column: 13 });
  assert.deepEqual(source.locate('node.cluster'), { file: 'over.yaml', line: 4, column: 12 });
});
