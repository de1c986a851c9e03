import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Descriptors } from './descriptors.js';
import { loadMessage } from './loader.js';
import { durationText, toProtoJson } from './proto-json.js';

const descriptors = new Descriptors();
const read = (text: string, typeName: string): object => {
  const loaded = loadMessage<object>(text, typeName, { file: 'x.yaml', descriptors });
  assert.deepEqual(loaded.problems, []);
  return loaded.message as object;
};

test('prints original names, durations with unit, 64-bit integers as text, bytes as base64', () => {
  const cluster = read(
    `
name: a
connect_timeout: 0.25s
dns_refresh_rate: 5s
lb_policy: LEAST_REQUEST
least_request_lb_config: { choice_count: 3 }
max_requests_per_connection: 7
upstream_bind_config: { socket_options: [{ level: 1, name: 2, buf_value: AQID }] }
metadata: { filter_metadata: { envoy.lb: { canary: true, n: 1.5 } } }
typed_extension_protocol_options:
  x: { "@type": type.googleapis.com/google.protobuf.Duration, value: 1.5s }
`,
    'envoy.config.cluster.v3.Cluster',
  );
  assert.deepEqual(toProtoJson(cluster, 'envoy.config.cluster.v3.Cluster', { snakeCase: true, descriptors }), {
    name: 'a',
    connect_timeout: '0.250s',
    dns_refresh_rate: '5s',
    lb_policy: 'LEAST_REQUEST',
    least_request_lb_config: { choice_count: 3 },
    max_requests_per_connection: 7,
    upstream_bind_config: { socket_options: [{ level: '1', name: '2', buf_value: 'AQID' }] },
    metadata: { filter_metadata: { 'envoy.lb': { canary: true, n: 1.5 } } },
    typed_extension_protocol_options: { x: { '@type': 'type.googleapis.com/google.protobuf.Duration', value: '1.500s' } },
  });
});

test('prints camelCase where asked', () => {
  const node = read('{ id: a, user_agent_name: b }', 'envoy.config.core.v3.Node');
  assert.deepEqual(toProtoJson(node, 'envoy.config.core.v3.Node', { descriptors }), { id: 'a', userAgentName: 'b' });
});

test('redacts private keys and passwords, in an Any and a TypedStruct too, and keeps certificates', () => {
  const tls = `
common_tls_context:
  tls_certificates:
  - certificate_chain: { inline_string: CERT }
    private_key: { inline_string: KEY }
    password: { inline_bytes: c2VjcmV0 }
  - certificate_chain: { filename: /cert }
    private_key: { filename: /key }
`;
  const socket = read(
    `
name: envoy.transport_sockets.tls
typed_config:
  "@type": type.googleapis.com/xds.type.v3.TypedStruct
  type_url: type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
  value:${tls.replaceAll('\n', '\n    ')}
`,
    'envoy.config.core.v3.TransportSocket',
  );
  assert.deepEqual(toProtoJson(socket, 'envoy.config.core.v3.TransportSocket', { snakeCase: true, descriptors }).typed_config, {
    '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext',
    common_tls_context: {
      tls_certificates: [
        {
          certificate_chain: { inline_string: 'CERT' },
          private_key: { inline_string: '[redacted]' },
          password: { inline_bytes: 'W3JlZGFjdGVkXQ==' },
        },
        { certificate_chain: { filename: '/cert' }, private_key: { filename: '[redacted]' } },
      ],
    },
  });
});

test('redacts a generic secret', () => {
  const secret = read('{ name: a, generic_secret: { secret: { inline_string: S } } }', 'envoy.extensions.transport_sockets.tls.v3.Secret');
  assert.deepEqual(toProtoJson(secret, 'envoy.extensions.transport_sockets.tls.v3.Secret', { descriptors }), {
    name: 'a',
    genericSecret: { secret: { inlineString: '[redacted]' } },
  });
});

for (const [ms, text] of [
  [0, '0s'],
  [1500, '1.500s'],
  [-250, '-0.250s'],
  [0.001, '0.000001s'],
  [0.000001, '0.000000001s'],
  [1000.000001, '1.000000001s'],
  [999.9999999, '1s'],
  [315_576_000_000_000, '315576000000s'],
] as const) {
  test(`prints ${ms} ms as ${text}`, () => assert.equal(durationText(ms), text));
}

test('what is printed is read back the same', () => {
  const type = 'envoy.config.route.v3.RouteAction';
  const action = fc.record(
    {
      cluster: fc.string({ minLength: 1 }),
      timeout: fc.nat(1e9).map((ms) => ms / 8),
      priority: fc.constantFrom('DEFAULT', 'HIGH'),
      autoHostRewrite: fc.boolean(),
      metadataMatch: fc.record({
        filterMetadata: fc.dictionary(fc.string({ minLength: 1 }), fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 2 }))),
      }),
    },
    { requiredKeys: ['cluster'] },
  );
  fc.assert(
    fc.property(action, fc.boolean(), (value, snakeCase) => {
      const text = JSON.stringify(toProtoJson(value, type, { snakeCase, descriptors }));
      const loaded = loadMessage(text, type, { file: 'x.json', descriptors });
      assert.deepEqual(loaded.problems, []);
      assert.deepEqual(JSON.parse(JSON.stringify(loaded.message)), JSON.parse(JSON.stringify(value)));
    }),
    { numRuns: 100 },
  );
});
