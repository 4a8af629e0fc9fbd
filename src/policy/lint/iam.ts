/** What AWS reads in the `Action` of a policy: `*` is any text and `?` any character, in any case (IAM, "Policy elements: Action"). */
export function actionTakes(glob: string, action: string): boolean {
  return takes(glob.toLowerCase(), action.toLowerCase());
}

/** Every action, or every one of a service, however that is written: what takes an action that nobody has thought of takes all. */
export function isAnyAction(glob: string): boolean {
  const service = glob.includes(":") ? glob.slice(0, glob.indexOf(":")) : "zz9";
  return actionTakes(glob, `${hasWildcard(service) ? "zz9" : service}:Zz9`) || actionTakes(glob, "zz9");
}

/** Whether its last part (IAM, "Amazon Resource Names": the sixth) is nothing but wildcards, or a wildcard stands for that part too. */
export function isAnyResource(glob: string): boolean {
  const fields = glob.split(":");
  if (fields.length < 6) return isWild(glob) || (glob.startsWith("arn:") && glob.endsWith("*"));
  return isWild(fields.slice(5).join(":"));
}

export function hasWildcard(text: string): boolean {
  return /[*?]/.test(text);
}

function isWild(text: string): boolean {
  return text.includes("*") && /^[*?/:]+$/.test(text);
}

/** As long as both texts multiplied at worst, so one of them is to be short: it goes back to the last `*` alone, and never to one before it. */
function takes(glob: string, text: string): boolean {
  let [at, star, from] = [0, -1, 0];
  for (let next = 0; next < text.length; ) {
    if (glob[at] === "*") {
      star = at;
      from = next;
      at += 1;
    } else if (at < glob.length && (glob[at] === "?" || glob[at] === text[next])) {
      at += 1;
      next += 1;
    } else if (star >= 0) {
      from += 1;
      next = from;
      at = star + 1;
    } else return false;
  }
  while (glob[at] === "*") at += 1;
  return at === glob.length;
}
