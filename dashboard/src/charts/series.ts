// From what the node says to what charts show. The step that has not ended is left out: it would look like a fall. Steps of which
// nothing is held are gaps, not zeros.

import type { Analytics } from "../api";

/** How many steps charts show: those that have ended. */
export function ended(analytics: Analytics): number {
  return Math.max(0, analytics.steps - 1);
}

export function times(analytics: Analytics): number[] {
  return Array.from({ length: ended(analytics) }, (_, index) => analytics.from_ms + index * analytics.step_ms);
}

/** A number for each step that has ended, and nothing where nothing is held. */
export function values(analytics: Analytics, of: (index: number) => number | null): (number | null)[] {
  const held = analytics.held_from_ms ?? Number.POSITIVE_INFINITY;
  return Array.from({ length: ended(analytics) }, (_, index) => {
    const end = analytics.from_ms + (index + 1) * analytics.step_ms;
    return end > held ? of(index) : null;
  });
}

export function perSecond(analytics: Analytics, counts: number[]): (number | null)[] {
  return values(analytics, (index) => ((counts[index] ?? 0) * 1000) / analytics.step_ms);
}

/** Parts by wholes, where there is a whole. */
export function ratios(analytics: Analytics, parts: number[], wholes: number[]): (number | null)[] {
  return values(analytics, (index) => {
    const whole = wholes[index] ?? 0;
    return whole === 0 ? null : (parts[index] ?? 0) / whole;
  });
}

/** The newest value of a gauge that there is. */
export function newest(analytics: Analytics, name: string): number | null {
  return analytics.gauges[name]?.findLast((value) => value !== null) ?? null;
}

export function sum(numbers: number[] | undefined): number {
  return (numbers ?? []).reduce((sum, number) => sum + number, 0);
}
