import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Descriptors, lowerCamel, typeNameOf } from './descriptors.js';

const descriptors = new Descriptors();

test('every field of every message has a type that is there', () => {
  const broken: string[] = [];
  for (const name of descriptors.names()) {
    const type = descriptors.message(name);
    if (type === undefined) broken.push(name);
    for (const field of type?.fields ?? []) {
      if (field.scalar === undefined && field.message === undefined && field.enumeration === undefined) broken.push(`${name}.${field.name}`);
    }
  }
  assert.deepEqual(broken, []);
});

for (const name of [
  'envoy.config.bootstrap.v3.Bootstrap',
  'envoy.config.listener.v3.Listener',
  'envoy.config.cluster.v3.Cluster',
  'envoy.config.route.v3.RouteConfiguration',
  'envoy.config.endpoint.v3.ClusterLoadAssignment',
  'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
  'envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy',
  'envoy.extensions.filters.http.router.v3.Router',
  'envoy.extensions.access_loggers.file.v3.FileAccessLog',
  'envoy.extensions.access_loggers.stream.v3.StdoutAccessLog',
  'envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig',
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
  'envoy.extensions.filters.listener.original_dst.v3.OriginalDst',
  'envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector',
  'envoy.extensions.filters.listener.http_inspector.v3.HttpInspector',
  'envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer',
  'envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext',
  'envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig',
  'envoy.extensions.clusters.dns.v3.DnsCluster',
  'envoy.config.trace.v3.OpenCensusConfig',
  'envoy.admin.v3.ConfigDump',
  'envoy.service.discovery.v3.DeltaDiscoveryRequest',
  'google.protobuf.Duration',
]) {
  test(`knows ${name}`, () => assert.equal(descriptors.message(name)?.name, name));
}

test('knows no name that is not a message: a package, a path, an inherited property', () => {
  for (const name of [
    '',
    'envoy',
    'envoy.config.core.v3',
    '../package',
    'envoy.config.core.v3.constructor',
    'envoy.config.core.v3.Address.pipe',
    'names',
    '__proto__',
  ]) {
    assert.equal(descriptors.message(name), undefined, name);
  }
});

test('an overlay adds fields to a shipped message, in its oneofs too', () => {
  const bootstrap = descriptors.message('envoy.config.bootstrap.v3.Bootstrap');
  assert.equal(bootstrap?.field('stats_eviction_interval')?.oneof?.name, 'stats_eviction');
  assert.equal(bootstrap?.field('statsEvictionInterval')?.message?.wellKnown, 'duration');
});

test('reads a package when a type of it is asked for, not before', () => {
  const fresh = new Descriptors();
  assert.equal(fresh.loadedPackages, 0);
  fresh.message('envoy.config.cluster.v3.Cluster');
  assert.equal(fresh.loadedPackages, 1);
});

test('JSON names are protobuf’s', () => {
  assert.equal(lowerCamel('accept_http_10'), 'acceptHttp10');
  assert.equal(lowerCamel('http2_protocol_options'), 'http2ProtocolOptions');
  assert.equal(lowerCamel('samplingProbability'), 'samplingProbability');
  assert.equal(typeNameOf({ '@type': 'type.googleapis.com/a.b.C' }), 'a.b.C');
});
