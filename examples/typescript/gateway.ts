// What both programs need: one call, with the patience that the gateway asks for.

export type Event = { id: string; source: string; type: string; occurred_at: string };
export type Page = { data: Event[]; page: { has_more: boolean; next_cursor: string | null } };
type Problem = { status: number; code: string; detail: string };

const tries = 5;

// The filters as they stand on the command line: "type=recipient.signed". A repeated one is "or".
export function filters(given: string[]): [string, string][] {
  return given.map((one) => [one.split("=", 1)[0]!, one.slice(one.indexOf("=") + 1)]);
}

function fail(sentence: string): never {
  console.error(sentence);
  process.exit(1);
}

export function usage(text: string, given?: string): never {
  if (given !== "--help") {
    console.error(text);
    process.exit(2);
  }
  console.log(text);
  process.exit(0);
}

// Such as `| head`, which has what it wants; the shell's own status for it.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 141 : 1));

async function call(url: string, authorization: string, member: string): Promise<{ answer: Response; body: unknown }> {
  const answer = await fetch(url, { headers: { Authorization: authorization } });
  const body: unknown = await answer.json();
  if (typeof body !== "object" || body === null || !((answer.ok ? member : "code") in body)) {
    throw new Error("what answers is not the gateway");
  }
  return { answer, body };
}

// `member`: what the answer has where it is the gateway that answers.
export async function get<Answer>(member: string, path: string, params: [string, string][] = []): Promise<Answer> {
  const { GATEWAY_URL, GATEWAY_KEY } = process.env;
  if (!GATEWAY_URL || !GATEWAY_KEY) fail("set GATEWAY_URL (http://127.0.0.1:8000, say) and GATEWAY_KEY");
  const url = `${GATEWAY_URL}${path}?${new URLSearchParams(params)}`;
  for (let left = tries - 1; ; left--) {
    const { answer, body } = await call(url, `Bearer ${GATEWAY_KEY}`, member).catch((error: Error) =>
      fail(`no answer from ${GATEWAY_URL}: ${error.cause ?? error}`),
    );
    if (answer.ok) return body as Answer;
    if ((answer.status === 429 || answer.status === 503) && left > 0) {
      // Too many calls, or a source that is down: the gateway says after how many seconds to ask again.
      const seconds = Number(answer.headers.get("Retry-After"));
      await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
      continue;
    }
    // 401: no such key. 422: a parameter is wrong, and `detail` says which and why.
    const problem = body as Problem;
    fail(`${problem.status} ${problem.code}: ${problem.detail}`);
  }
}
