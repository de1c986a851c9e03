import { GRPC } from '../../protocol/grpc/status.js';
import { type AccessLog, createAccessLog } from '../../proxy/access-log/access-log.js';
import * as filters from '../../proxy/access-log/filters.js';
import { compileJsonFormat, compileTextFormat, DEFAULT_FORMAT, type Formatter } from '../../proxy/access-log/formatter.js';
import { responseFlag } from '../../proxy/access-log/response-flags.js';
import type * as v3 from '../config/types.js';
import { compileDataSource, compileFraction, compileHeaderMatcher } from './common.js';
import { type Fields, typeOf } from './context.js';

const LOGGERS = 'envoy.extensions.access_loggers';

/** The access logs of a listener, manager or proxy. One that is not supported is a problem, and left out. */
export function compileAccessLogs(list: readonly Fields<v3.AccessLog>[]): AccessLog[] {
  return list.flatMap((log) => compileAccessLog(log) ?? []);
}

function compileAccessLog(log: Fields<v3.AccessLog>): AccessLog | undefined {
  log.ignore('name');
  const { context } = log;
  const any = log.get('typedConfig');
  const filterFields = log.child('filter', 'envoy.config.accesslog.v3.AccessLogFilter');
  const filter = filterFields === undefined ? undefined : compileFilter(filterFields);
  const type = typeOf(any);
  let path: string;
  let formatter: Formatter | undefined;
  if (type === `${LOGGERS}.file.v3.FileAccessLog`) {
    const file = context.fields(any as v3.FileAccessLog, log.at('typedConfig'), type);
    path = file.get('path') ?? '';
    formatter = compileFileFormat(file);
  } else if (type === `${LOGGERS}.stream.v3.StdoutAccessLog` || type === `${LOGGERS}.stream.v3.StderrAccessLog`) {
    const stream = context.fields(any as v3.StdoutAccessLog, log.at('typedConfig'), type);
    path = type.endsWith('StdoutAccessLog') ? '/dev/stdout' : '/dev/stderr';
    formatter = compileFormat(stream.child('logFormat', 'envoy.config.core.v3.SubstitutionFormatString'));
  } else {
    log.problem('typedConfig', `access logger '${type === '' ? (log.value.name ?? '') : type}' is not supported`, 'UNSUPPORTED');
    return undefined;
  }
  if (formatter === undefined || (filterFields !== undefined && filter === undefined)) return undefined;
  return createAccessLog(context.createFileLog(path), formatter, filter);
}

function compileFileFormat(file: Fields<v3.FileAccessLog>): Formatter | undefined {
  const [format, json, typedJson] = [file.get('format'), file.get('jsonFormat'), file.get('typedJsonFormat')];
  if (format !== undefined && format !== '') return file.context.attempt(file.at('format'), () => compileTextFormat(format));
  if (json !== undefined) return file.context.attempt(file.at('jsonFormat'), () => compileJsonFormat(json));
  if (typedJson !== undefined) return file.context.attempt(file.at('typedJsonFormat'), () => compileJsonFormat(typedJson));
  return compileFormat(file.child('logFormat', 'envoy.config.core.v3.SubstitutionFormatString'));
}
function compileFormat(format: Fields<v3.SubstitutionFormatString> | undefined): Formatter | undefined {
  if (format === undefined) return compileTextFormat(DEFAULT_FORMAT);
  // A header of local replies; a log file has none.
  format.ignore('contentType');
  const omitEmptyValues = format.get('omitEmptyValues') === true;
  const sortProperties = format.get('jsonFormatOptions')?.sortProperties === true;
  const json = format.get('jsonFormat');
  if (json !== undefined) return format.context.attempt(format.at('jsonFormat'), () => compileJsonFormat(json, { omitEmptyValues, sortProperties }));
  const inline = format.get('textFormat');
  if (inline !== undefined) return format.context.attempt(format.at('textFormat'), () => compileTextFormat(inline, { omitEmptyValues }));
  const source = compileDataSource(format.child('textFormatSource', 'envoy.config.core.v3.DataSource'));
  const text = source === undefined ? DEFAULT_FORMAT : Buffer.from(source).toString('utf8');
  return format.context.attempt(format.at('textFormatSource'), () => compileTextFormat(text, { omitEmptyValues }));
}

/** Undefined where the filter, or one inside it, is not supported. */
function compileFilter(fields: Fields<v3.AccessLogFilter>): filters.LogFilter | undefined {
  const { context } = fields;
  const comparison = (of: Fields<v3.StatusCodeFilter | v3.DurationFilter> | undefined) => {
    const { op = 'EQ', value } = of?.get('comparison') ?? {};
    const override = value?.runtimeKey === undefined ? undefined : context.runtime.get(value.runtimeKey);
    return { op, value: typeof override === 'number' ? override : (value?.defaultValue ?? 0) };
  };
  const status = fields.child('statusCodeFilter', 'envoy.config.accesslog.v3.StatusCodeFilter');
  if (status !== undefined) {
    const { op, value } = comparison(status);
    return filters.statusCodeFilter(op, value);
  }
  const duration = fields.child('durationFilter', 'envoy.config.accesslog.v3.DurationFilter');
  if (duration !== undefined) {
    const { op, value } = comparison(duration);
    return filters.durationFilter(op, value);
  }
  if (fields.get('notHealthCheckFilter') !== undefined) return filters.notHealthCheckFilter();
  const runtime = fields.child('runtimeFilter', 'envoy.config.accesslog.v3.RuntimeFilter');
  if (runtime !== undefined) {
    // Draws are independent in any case.
    runtime.ignore('useIndependentRandomness');
    // Without a default, Envoy logs nothing until the runtime says so.
    const share = compileFraction(context, runtime.get('percentSampled') ?? { numerator: 0 }, runtime.get('runtimeKey'));
    return filters.samplingFilter(share, context.random);
  }
  const header = fields.child('headerFilter', 'envoy.config.accesslog.v3.HeaderFilter')?.child('header', 'envoy.config.route.v3.HeaderMatcher');
  if (header !== undefined) {
    const match = compileHeaderMatcher(header);
    return match === undefined ? undefined : filters.headerFilter(match);
  }
  const flags = fields.child('responseFlagFilter', 'envoy.config.accesslog.v3.ResponseFlagFilter');
  if (flags !== undefined) {
    let anyOf = 0;
    for (const name of flags.get('flags') ?? []) {
      const flag = responseFlag(name);
      if (flag === undefined) flags.problem('flags', `'${name}' is not a response flag`);
      else anyOf |= flag;
    }
    return filters.responseFlagFilter(anyOf);
  }
  const grpc = fields.child('grpcStatusFilter', 'envoy.config.accesslog.v3.GrpcStatusFilter');
  if (grpc !== undefined) {
    const statuses = (grpc.get('statuses') ?? []).map((name) => GRPC[name === 'CANCELED' ? 'CANCELLED' : name]);
    return filters.grpcStatusFilter(new Set(statuses), grpc.get('exclude') === true);
  }
  const types = fields.child('logTypeFilter', 'envoy.config.accesslog.v3.LogTypeFilter');
  if (types !== undefined) return filters.logTypeFilter(types.get('types') ?? [], types.get('exclude') === true);
  for (const [name, combine] of [
    ['andFilter', filters.andFilter],
    ['orFilter', filters.orFilter],
  ] as const) {
    const all = fields.child(name, name === 'andFilter' ? 'envoy.config.accesslog.v3.AndFilter' : 'envoy.config.accesslog.v3.OrFilter');
    if (all === undefined) continue;
    const parts = all.list('filters', 'envoy.config.accesslog.v3.AccessLogFilter').map(compileFilter);
    return parts.some((part) => part === undefined) ? undefined : combine(parts as filters.LogFilter[]);
  }
  // Whatever else is set is reported as unread.
  return undefined;
}
