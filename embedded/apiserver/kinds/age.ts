// Spans of time as kubectl prints them: 5s, 3m10s, 2d4h.

export function age(timestamp: unknown, now = Date.now()): string {
  if (typeof timestamp !== 'string') return '<unknown>';
  const then = Date.parse(timestamp);
  return Number.isNaN(then) ? '<invalid>' : span(Math.floor((now - then) / 1000));
}

/** @param seconds whole seconds; a little below zero counts as none (clocks differ). */
export function span(seconds: number): string {
  if (seconds < -1) return '<invalid>';
  if (seconds < 0) return '0s';
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  const days = Math.floor(hours / 24);
  const pair = (whole: number, unit: string, part: number, small: string): string =>
    part === 0 ? `${String(whole)}${unit}` : `${String(whole)}${unit}${String(part)}${small}`;
  if (seconds < 120) return `${String(seconds)}s`;
  if (minutes < 10) return pair(minutes, 'm', seconds % 60, 's');
  if (minutes < 180) return `${String(minutes)}m`;
  if (hours < 8) return pair(hours, 'h', minutes % 60, 'm');
  if (hours < 48) return `${String(hours)}h`;
  if (days < 8) return pair(days, 'd', hours % 24, 'h');
  if (days < 365 * 2) return `${String(days)}d`;
  const years = Math.floor(days / 365);
  if (days < 365 * 8) return pair(years, 'y', days % 365, 'd');
  return `${String(years)}y`;
}
