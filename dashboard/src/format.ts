// Numbers, times and spans as people read them: always with a unit, never longer than needed.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const oneDigit = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const threeDigits = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const clock = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat("en", {
  day: "numeric",
  month: "short",
  hour: "2-digit",
  minute: "2-digit",
  hourCycle: "h23",
});

/** 1,234 */
export function count(value: number): string {
  return whole.format(value);
}

/** "1 route", "3 routes" */
export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** 93.4 %, and a dash where there is none. What is not all never shows as 100 %, what is something never as 0 %. */
export function percent(ratio: number | null): string {
  if (ratio === null) {
    return "–";
  }
  if (ratio === 0 || ratio === 1) {
    return `${ratio * 100} %`;
  }
  const value = ratio * 100;
  const rounded = Math.round(value * 10) / 10;
  if (rounded === 100 && ratio < 1) {
    return "> 99.9 %";
  }
  if (rounded === 0 && ratio > 0) {
    return "< 0.1 %";
  }
  return `${oneDigit.format(value)} %`;
}

/** How far apart two ratios are: 1.2 points. */
export function points(difference: number): string {
  return `${oneDigit.format(Math.max(0.1, Math.abs(difference) * 100))} points`;
}

/** 12.3 MiB */
export function bytes(value: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let number = value;
  let unit = 0;
  while (number >= 1024 && unit < units.length - 1) {
    number /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? whole.format(number) : number >= 100 ? whole.format(number) : oneDigit.format(number)} ${units[unit] ?? ""}`;
}

/** 1.23 /s */
export function rate(perSecond: number): string {
  return `${perSecond >= 1000 ? whole.format(perSecond) : threeDigits.format(perSecond)} /s`;
}

/** How long an answer took: 0.42 ms, 12 ms, 1.5 s. */
export function duration(ms: number): string {
  return ms >= 1000 ? `${threeDigits.format(ms / 1000)} s` : `${ms < 10 ? threeDigits.format(Math.round(ms * 100) / 100) : whole.format(ms)} ms`;
}

/** How long something took or ago it is. */
export function span(ms: number): string {
  const seconds = ms / 1000;
  if (seconds < 1) {
    return `${whole.format(ms)} ms`;
  }
  if (seconds < 120) {
    return `${seconds < 10 ? oneDigit.format(seconds) : whole.format(seconds)} s`;
  }
  if (seconds < 7200) {
    return `${whole.format(seconds / 60)} min`;
  }
  return seconds < 172_800 ? `${whole.format(seconds / 3600)} h` : `${whole.format(seconds / 86_400)} days`;
}

/** A time of day; with the day, where it matters. */
export function time(ms: number, withDay = false): string {
  return (withDay ? day : clock).format(ms);
}

/** When something was: the time of day, if it was today. */
export function when(ms: number, nowMs: number): string {
  return time(ms, new Date(ms).toDateString() !== new Date(nowMs).toDateString());
}
