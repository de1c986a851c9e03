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

/** `name: value` lines, then the histograms, each sorted by name. */
export function formatText(stats: readonly Stat[]): string {
  let text = '';
  for (const { name, value } of stats.filter(isScalar)) text += `${name}: ${value}\n`;
  for (const { name, cumulative, interval } of stats.filter(isHistogram)) text += `${name}: ${quantileText(interval, cumulative)}\n`;
  return text;
}

function quantileText(interval: HistogramData, cumulative: HistogramData): string {
  if (cumulative.count === 0) return 'No recorded values';
  return QUANTILES.map((q) => `P${percent(q)}(${short(interval.quantile(q))},${short(cumulative.quantile(q))})`).join(' ');
}

/** `{"stats": [{name, value}, ..., {"histograms": {supported_quantiles, computed_quantiles}}]}`. */
export function formatJson(stats: readonly Stat[]): string {
  const list: object[] = stats.filter(isScalar).map(({ name, value }) => ({ name, value }));
  const histograms = stats.filter(isHistogram);
  if (histograms.length > 0) {
    const json = (value: number): number | null => (Number.isNaN(value) ? null : Number(value.toPrecision(6)));
    list.push({
      histograms: {
        supported_quantiles: QUANTILES.map(percent),
        computed_quantiles: histograms.map(({ name, interval, cumulative }) => ({
          name,
          values: QUANTILES.map((q) => ({ interval: json(interval.quantile(q)), cumulative: json(cumulative.quantile(q)) })),
        })),
      },
    });
  }
  return JSON.stringify({ stats: list });
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
export function formatPrometheus(stats: readonly Stat[], tags: TagExtractor, buckets: readonly number[] = DEFAULT_BUCKETS): string {
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
        text += isHistogram(stat) ? histogramLines(family, labels(tagged), stat.cumulative, buckets) : `${family}{${labels(tagged)}} ${stat.value}\n`;
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
