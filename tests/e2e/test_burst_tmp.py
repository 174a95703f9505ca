import time
from concurrent.futures import ThreadPoolExecutor
import pytest
from tests.e2e.test_submissions import submit, JOBS, AGAIN
from tests.e2e.conftest import *  # noqa
pytestmark=[pytest.mark.airflow, pytest.mark.heavy]
def test_x(airflow, tmp_path):
    with airflow.reading(tmp_path / "missing"):
        for keys, n in (([*range(40)], 20), ([k for k in range(100,120) for _ in (0,1,2)], 20)):
            t=time.monotonic()
            with ThreadPoolExecutor(n) as pool:
                answers = list(pool.map(lambda key: safe(airflow, key), keys))
            print(time.monotonic()-t, [a if isinstance(a,str) else (a.status_code, a.text[:300]) for a in answers if isinstance(a,str) or a.status_code!=202])
    import glob
    for f in glob.glob(str(airflow.stack.state.logs)+"/*"):
        text=open(f,errors="replace").read()
        i=text.find("Traceback")
        if "api" in f: print(f, len(text), text.count("Traceback")); open("/tmp/api-burst.log","w").write(text)

def safe(airflow, key):
    t=time.monotonic()
    try:
        return submit(airflow, key)
    except Exception as e:
        return f"{time.monotonic()-t:.1f} {e!r}"
