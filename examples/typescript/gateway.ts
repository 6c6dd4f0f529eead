// What both programs need: one call, with the patience that the gateway asks for.

export type Event = { id: string; source: string; type: string; occurred_at: string };
export type Page = { data: Event[]; page: { has_more: boolean; next_cursor: string | null } };
type Problem = { status: number; code: string; detail: string };

const tries = 5;

// The filters as they stand on the command line: "type=recipient.signed". A repeated one is "or".
export function filters(given: string[]): [string, string][] {
  return given.map((one) => [one.split("=", 1)[0]!, one.slice(one.indexOf("=") + 1)]);
}

export async function get<Answer>(path: string, params: [string, string][] = []): Promise<Answer> {
  const { GATEWAY_URL, GATEWAY_KEY } = process.env;
  const url = `${GATEWAY_URL}${path}?${new URLSearchParams(params)}`;
  for (let left = tries - 1; ; left--) {
    const answer = await fetch(url, { headers: { Authorization: `Bearer ${GATEWAY_KEY}` } });
    if (answer.ok) return (await answer.json()) as Answer;
    if ((answer.status === 429 || answer.status === 503) && left > 0) {
      // Too many calls, or a source that is down: the gateway says after how many seconds to ask again.
      const seconds = Number(answer.headers.get("Retry-After"));
      await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
      continue;
    }
    // 401: no such key. 422: a parameter is wrong, and `detail` says which and why.
    const problem = (await answer.json()) as Problem;
    console.error(`${problem.status} ${problem.code}: ${problem.detail}`);
    process.exit(1);
  }
}
