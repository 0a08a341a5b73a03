import htm from 'htm';
import { h } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { formatCount, formatDuration } from './format.js';

const html = htm.bind(h);
const NONE = { total: 0, matched: 0, pods: [] };

function summary({ total, matched, pods }, query) {
  if (total === 0) return 'Nothing waits.';
  const which = query === '' ? `${formatCount(total)} waiting` : `${formatCount(matched)} of ${formatCount(total)} match`;
  return pods.length < matched ? `${which}, the first ${formatCount(pods.length)} shown` : which;
}

/** Waiting pods with the scheduler's reason; `revision` changes when there may be news. */
export function Pending({ revision }) {
  const [query, setQuery] = useState('');
  const [pending, setPending] = useState(NONE);
  useEffect(() => {
    const abort = new AbortController();
    fetch(`/api/pending?query=${encodeURIComponent(query)}`, { signal: abort.signal })
      .then((response) => (response.ok ? response.json() : NONE))
      .then(setPending)
      .catch(() => {
        // Superseded by a newer request, or the server is gone; the page says so elsewhere.
      });
    return () => abort.abort();
  }, [query, revision]);

  return html`<section class="panel" aria-label="Waiting pods">
    <div class="panel-head">
      <h2>Waiting pods</h2>
      <span class="soft" role="status">${summary(pending, query)}</span>
      <input type="search" maxlength="200" placeholder="Search pod, queue or reason" aria-label="Search waiting pods"
        value=${query} onInput=${(event) => setQuery(event.currentTarget.value)} />
    </div>
    <div class="pending-scroll" tabindex="0" role="region" aria-label="List of waiting pods">
      <table class="pending">
        <thead><tr><th>Pod</th><th>Queue</th><th class="number">Waiting for</th><th>Reason</th></tr></thead>
        <tbody>
          ${pending.pods.map(
            (p) => html`<tr key=${p.pod}>
              <td class="name">${p.pod}</td><td class="name">${p.queue}</td><td class="number">${formatDuration(p.waitingMs)}</td><td>${p.reason}</td>
            </tr>`,
          )}
        </tbody>
      </table>
    </div>
  </section>`;
}
