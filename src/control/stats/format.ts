/** The three forms in which `/stats` answers: text, JSON and Prometheus's, as Envoy writes them. */
import { type HistogramData, type HistogramStat, QUANTILES, type ScalarStat, type Stat } from './stats-view.js';
import type { TagExtractor, TaggedName } from './tags.js';

/** Upper bounds of Prometheus's buckets: Envoy's defaults. */
export const DEFAULT_BUCKETS = [
  0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000, 600_000, 1_800_000, 3_600_000,
] as const;

const isHistogram = (stat: Stat): stat is HistogramStat => stat.kind === 'histogram';
const isScalar = (stat: Stat): stat is ScalarStat => stat.kind !== 'histogram';

/** Six significant digits, as Envoy prints doubles; `nan` where there is no value. */
const short = (value: number): string => (Number.isNaN(value) ? 'nan' : String(Number(value.toPrecision(6))));
const percent = (quantile: number): number => Number((quantile * 100).toPrecision(6));

/** What `/stats?histogram_buckets=` takes: quantiles, buckets up to each bound or between bounds, or the finest buckets there are. */
export const BUCKET_MODES = ['summary', 'cumulative', 'disjoint', 'detailed'] as const;
export type BucketMode = (typeof BUCKET_MODES)[number];
/** Upper bounds of a histogram's buckets, ascending. */
export type BucketsOf = (name: string) => readonly number[];
const defaultBuckets: BucketsOf = () => DEFAULT_BUCKETS;

/** `name: value` lines, then the histograms, each sorted by name. */
export function formatText(stats: readonly Stat[], mode: BucketMode = 'summary', bucketsOf: BucketsOf = defaultBuckets): string {
  let text = '';
  for (const { name, value } of stats.filter(isScalar)) text += `${name}: ${value}\n`;
  for (const histogram of stats.filter(isHistogram)) text += `${histogram.name}:${histogramText(histogram, mode, bucketsOf)}\n`;
  return text;
}

function histogramText({ name, cumulative, interval }: HistogramStat, mode: BucketMode, bucketsOf: BucketsOf): string {
  if (mode === 'summary' || cumulative.count === 0) return ` ${quantileText(interval, cumulative)}`;
  if (mode === 'detailed') {
    const list = (data: HistogramData): string =>
      data
        .buckets()
        .map(({ from, width, count }) => `${from},${width}:${count}`)
        .join(', ');
    return `\n  totals=${list(cumulative)}\n  intervals=${list(interval)}\n  summary=${quantileText(interval, cumulative)}`;
  }
  return ` ${boundedBuckets(interval, cumulative, bucketsOf(name), mode)
    .map((bucket) => `B${short(bucket.upper_bound)}(${bucket.interval},${bucket.cumulative})`)
    .join(' ')}`;
}

/** Counts by upper bound: of everything up to it, or (`disjoint`) of what lies between it and the bound before. */
function boundedBuckets(
  interval: HistogramData,
  cumulative: HistogramData,
  bounds: readonly number[],
  mode: BucketMode,
): { readonly upper_bound: number; readonly interval: number; readonly cumulative: number }[] {
  const counts = (data: HistogramData): number[] => {
    const upTo = bounds.map((bound) => data.countUpTo(bound));
    return mode === 'disjoint' ? upTo.map((count, i) => count - (upTo[i - 1] ?? 0)) : upTo;
  };
  const [recent, all] = [counts(interval), counts(cumulative)];
  return bounds.map((upper_bound, i) => ({ upper_bound, interval: recent[i], cumulative: all[i] }));
}

function quantileText(interval: HistogramData, cumulative: HistogramData): string {
  if (cumulative.count === 0) return 'No recorded values';
  return QUANTILES.map((q) => `P${percent(q)}(${short(interval.quantile(q))},${short(cumulative.quantile(q))})`).join(' ');
}

/** `{"stats": [{name, value}, ..., {"histograms": {supported_quantiles, computed_quantiles}}]}`. */
export function formatJson(stats: readonly Stat[], mode: BucketMode = 'summary', bucketsOf: BucketsOf = defaultBuckets): string {
  const list: object[] = stats.filter(isScalar).map(({ name, value }) => ({ name, value }));
  const histograms = stats.filter(isHistogram);
  if (histograms.length > 0) list.push({ histograms: histogramsJson(histograms, mode, bucketsOf) });
  return JSON.stringify({ stats: list });
}

function histogramsJson(histograms: readonly HistogramStat[], mode: BucketMode, bucketsOf: BucketsOf): object {
  const json = (value: number): number | null => (Number.isNaN(value) ? null : Number(value.toPrecision(6)));
  const quantiles = ({ interval, cumulative }: HistogramStat) =>
    QUANTILES.map((q) => ({ interval: json(interval.quantile(q)), cumulative: json(cumulative.quantile(q)) }));
  const finest = (data: HistogramData) => data.buckets().map(({ from, width, count }) => ({ lower_bound: from, width, count }));
  switch (mode) {
    case 'summary':
      return {
        supported_quantiles: QUANTILES.map(percent),
        computed_quantiles: histograms.map((histogram) => ({ name: histogram.name, values: quantiles(histogram) })),
      };
    case 'detailed':
      return {
        supported_percentiles: QUANTILES.map(percent),
        details: histograms.map((histogram) => ({
          name: histogram.name,
          totals: finest(histogram.cumulative),
          intervals: finest(histogram.interval),
          percentiles: quantiles(histogram),
        })),
      };
    default:
      return histograms.map(({ name, interval, cumulative }) => ({ name, buckets: boundedBuckets(interval, cumulative, bucketsOf(name), mode) }));
  }
}

/** Custom namespace: a family that starts so is shown without it and without `envoy_` (Envoy's stats_prometheus contract with Istio). */
const CUSTOM_NAMESPACES = ['istiocustom.'];

/** A family's name for Prometheus. */
export function prometheusName(family: string): string {
  for (const namespace of CUSTOM_NAMESPACES) if (family.startsWith(namespace)) return sanitize(family.slice(namespace.length));
  return `envoy_${sanitize(family)}`;
}
const sanitize = (name: string): string => {
  const clean = name.replace(/[^a-zA-Z0-9_]/g, '_');
  return /^[0-9]/.test(clean) ? `_${clean}` : clean;
};
const label = (value: string): string => value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"');
const labels = ({ tags }: TaggedName): string =>
  tags.map(({ name, value }) => `${sanitize(name.replace(/^envoy\./, 'envoy_'))}="${label(value)}"`).join(',');

/** Prometheus's text format: families by kind and name, each with its type; tags become labels. */
export function formatPrometheus(stats: readonly Stat[], tags: TagExtractor, bucketsOf: BucketsOf = defaultBuckets): string {
  let text = '';
  for (const kind of ['counter', 'gauge', 'histogram'] as const) {
    const families = new Map<string, [TaggedName, Stat][]>();
    for (const stat of stats) {
      if (stat.kind !== kind) continue;
      const tagged = tags.extract(stat.name);
      const family = prometheusName(tagged.family);
      const members = families.get(family);
      if (members === undefined) families.set(family, [[tagged, stat]]);
      else members.push([tagged, stat]);
    }
    for (const family of [...families.keys()].sort()) {
      text += `# TYPE ${family} ${kind}\n`;
      for (const [tagged, stat] of families.get(family) ?? []) {
        text += isHistogram(stat)
          ? histogramLines(family, labels(tagged), stat.cumulative, bucketsOf(stat.name))
          : `${family}{${labels(tagged)}} ${stat.value}\n`;
      }
      text += '\n';
    }
  }
  return text;
}

function histogramLines(family: string, own: string, data: HistogramData, buckets: readonly number[]): string {
  const before = own === '' ? '' : `${own},`;
  let text = '';
  for (const bound of buckets) text += `${family}_bucket{${before}le="${bound}"} ${data.countUpTo(bound)}\n`;
  text += `${family}_bucket{${before}le="+Inf"} ${data.count}\n`;
  return `${text}${family}_sum{${own}} ${data.sum}\n${family}_count{${own}} ${data.count}\n`;
}
