import sys, random
sys.path.insert(0,'tests/unit')
from simulation import *
from engine import limiter as L
from engine.limiter import *
def go(name, seconds, spans, n=1, mx=64, mn=1, requests=10**9, pause=0, wants=None, turn=0.001, lim=None, **kw):
    t=Timeline(); s=Service(t, **kw)
    cs=[Client(t,s,(lim or (lambda: AdaptiveLimit(mn,mx,clock=t.clock)))(), requests=requests, pause_s=pause, rng=random.Random(i), turnaround_s=turn) for i in range(n)]
    if wants:
        for c in cs: c.wants=wants
    for i,c in enumerate(cs): t.after(0.0*i, c.send)
    t.run(seconds)
    for a,b in spans:
        for c in cs:
            m,p=c.latency(a,b) if sum(a<=x<b for x,_ in c.answers)>1 else (0,0); lo,me,hi=c.limit_range(a,b)
            print(f"{name:28s} {a:5.1f}-{b:5.1f} rate {c.rate(a,b):6.1f} lat {m*1e3:6.1f} p95 {p*1e3:6.1f} limit {lo:3d} {me:5.1f} {hi:3d} fails {sum(a<=x<b for x,_ in c.failures)} base {getattr(c.limiter,'_base_s',0) or 0:.4f}")
    return cs
R=random.Random(5)
cs=go("short run 625",30,[(0,.5),(.5,2),(0,2.1)],requests=625); print(max(a for a,_ in cs[0].answers), sorted(l for _,l in cs[0].answers)[int(.95*625)])
cs=go("short run fixed 20",30,[(0,2)],requests=625,lim=lambda: FixedLimit(20)); print(max(a for a,_ in cs[0].answers))
go("long",120,[(5,30),(30,60),(60,120)])
go("long, service jitter 10%",120,[(5,60),(60,120)],takes_s=lambda t:UNLOADED_S*R.uniform(.9,1.1))
go("halved/restored",60,[(5,20),(20,22),(22,30),(30,40),(40,42),(42,50),(50,60)],at_once=lambda t: 8 if 20<=t<40 else 16)
go("jitter .5-3",60,[(0,5),(5,30),(30,60)],takes_s=lambda t:UNLOADED_S*R.uniform(.5,3))
go("jitter exp",60,[(0,5),(5,30),(30,60)],takes_s=lambda t:UNLOADED_S*R.expovariate(1))
go("429 only",120,[(0,5),(5,30),(30,120)],queued=0)
go("429 only pause 1s",120,[(0,5),(5,30),(30,120)],queued=0,pause=1.)
go("429 halved/restored",80,[(5,20),(20,30),(30,40),(40,42),(42,50),(50,60),(60,80)],queued=0,at_once=lambda t: 8 if 20<=t<40 else 16)
go("endless queue",60,[(5,30),(30,60)],queued=10**6)
go("endless queue 4",60,[(5,30),(30,60)],queued=10**6,at_once=lambda t:4)
go("endless queue 1",60,[(5,30),(30,60)],queued=10**6,at_once=lambda t:1)
go("endless queue 200 max 512",60,[(0,2),(2,30),(30,60)],queued=10**6,at_once=lambda t:200,mx=512)
go("4 share",120,[(5,60),(60,120)],n=4)
go("4 share endless",300,[(5,60),(240,300)],n=4,queued=10**6)
go("6% faults",60,[(0,2.),(2,30),(30,60)],fails=lambda t:R.random()<.06)
go("burst",30,[(8,10),(10,10.1),(10.1,11),(11,13),(13,20)],fails=lambda t:10<=t<10.1)
go("outage 5 s",30,[(8,10),(10,15),(15,16),(16,18)],fails=lambda t:10<=t<15)
go("x3 abruptly",60,[(10,20),(20,22),(22,30),(30,40),(40,60)],takes_s=lambda t:UNLOADED_S*(3 if t>20 else 1))
go("drift x3 in 30s",120,[(10,20),(20,30),(30,40),(40,50),(50,60),(60,80)],takes_s=lambda t:UNLOADED_S*(1+2*min(1,max(0,(t-20)/30))))
go("cold start x5",60,[(0,2),(2,4),(4,10),(10,60)],takes_s=lambda t:UNLOADED_S*(5 if t<1 else 1))
go("app limited",60,[(5,30),(30,32),(32,60)],wants=lambda t:4 if 5<t<30 else 10**6)
go("slow 5 s",600,[(0,60),(60,300),(300,600)],takes_s=lambda t:5*R.uniform(.9,1.1))
