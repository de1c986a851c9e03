/** Hosts of one priority level, counted. */
export interface LevelHealth {
  readonly total: number;
  readonly healthy: number;
  readonly degraded: number;
}
/** Share of the load of one priority level. */
export interface LevelLoad {
  /** Per cent of requests that go to its healthy hosts, and to its degraded ones. All levels together: 100, or 0 where there is no host at all. */
  readonly healthyPercent: number;
  readonly degradedPercent: number;
  /** Too few healthy hosts: all hosts of the level are used. */
  readonly panic: boolean;
}

/** A level counts as fully available when 1/1.4 of its hosts are healthy. */
export const OVERPROVISIONING_PERCENT = 140;

/**
 * Spreads the load over priority levels as Envoy documents it ("Priority levels", "Panic threshold"): a level takes up to 140 % of its healthy share, the
 * next one takes the rest; below `panicThreshold` per cent (0..100; 0: never) a level uses all its hosts, unless the levels together can still carry everything.
 */
export function priorityLoad(levels: readonly LevelHealth[], panicThreshold: number): LevelLoad[] {
  const available = (hosts: number, total: number) => (total === 0 ? 0 : Math.min(100, Math.floor((OVERPROVISIONING_PERCENT * hosts) / total)));
  const healthy = levels.map((level) => available(level.healthy, level.total));
  const degraded = levels.map((level) => available(level.degraded, level.total));
  const sum = [...healthy, ...degraded].reduce((a, b) => a + b, 0);
  const normalized = Math.min(100, sum);
  const inPanic = levels.map(
    (level) =>
      normalized < 100 && panicThreshold > 0 && (level.total === 0 || ((level.healthy + level.degraded) * 100) / level.total < panicThreshold),
  );
  if (inPanic.every((panic) => panic)) return totalPanic(levels);
  if (normalized === 0) return levels.map(() => ({ healthyPercent: 0, degradedPercent: 0, panic: false }));

  let rest = 100;
  const take = (share: number) => {
    const taken = Math.min(rest, Math.round((share * 100) / normalized));
    rest -= taken;
    return taken;
  };
  const healthyPercents = healthy.map(take);
  const degradedPercents = degraded.map(take);
  // Rounding may leave a per cent or two: it goes to the first level that has anything.
  const first = healthyPercents.findIndex((percent) => percent > 0);
  if (first >= 0) healthyPercents[first] += rest;
  else degradedPercents[degradedPercents.findIndex((percent) => percent > 0)] += rest;
  return levels.map((_, i) => ({ healthyPercent: healthyPercents[i], degradedPercent: degradedPercents[i], panic: inPanic[i] }));
}

/** Every level is in panic: each gets a share proportional to its hosts. */
function totalPanic(levels: readonly LevelHealth[]): LevelLoad[] {
  const total = levels.reduce((sum, level) => sum + level.total, 0);
  if (total === 0) return levels.map(() => ({ healthyPercent: 0, degradedPercent: 0, panic: true }));
  const percents = levels.map((level) => Math.floor((level.total * 100) / total));
  const first = levels.findIndex((level) => level.total > 0);
  percents[first] += 100 - percents.reduce((a, b) => a + b, 0);
  return percents.map((healthyPercent) => ({ healthyPercent, degradedPercent: 0, panic: true }));
}
