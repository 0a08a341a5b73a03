const RFC3339 = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:\d{2})$/;

/** Milliseconds since the epoch of an RFC 3339 time as Kubernetes writes them ("2026-01-01T12:00:00Z"); NaN = not one. */
export function parseRfc3339Ms(text: string): number {
  return RFC3339.test(text) ? Date.parse(text) : Number.NaN;
}
