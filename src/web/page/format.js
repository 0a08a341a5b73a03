// Numbers and times as the page writes them.

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const oneDigit = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });

export const formatCount = (n) => whole.format(n);

/** Devices: at most one decimal. */
export const formatGpus = (n) => (n < 0 ? 'none' : oneDigit.format(n));

export const formatShare = (share) => `${(share * 100).toFixed(1)} %`;

/** Milliseconds with about three figures. */
export function formatMs(ms) {
  if (ms >= 1000) return `${(ms / 1000).toFixed(2)} s`;
  if (ms >= 100) return `${ms.toFixed(0)} ms`;
  return `${ms.toFixed(ms >= 10 ? 1 : 2)} ms`;
}

/** A duration in its two largest units: "2 h 05 min", "3 min 20 s", "12 s". */
export function formatDuration(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  const h = Math.floor(s / 3600);
  const min = Math.floor((s % 3600) / 60);
  if (h > 0) return `${h} h ${String(min).padStart(2, '0')} min`;
  return min > 0 ? `${min} min ${String(s % 60).padStart(2, '0')} s` : `${s} s`;
}
