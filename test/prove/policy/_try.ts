import { siteRooms } from "./site.ts";
import { realSubject } from "./subject.ts";
import { reload } from "./reload.ts";
const subject = realSubject(await siteRooms());
const b=performance.now();
console.log(await reload({ size: process.argv[2], random: Math.random, note: (l:string)=>console.log(l.slice(0,2500)), subject } as any), performance.now()-b);
