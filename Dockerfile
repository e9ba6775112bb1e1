# Page and REST API on the CPU: docker build -t mlffm-segdiff . && docker run --rm -p 127.0.0.1:8000:8000 mlffm-segdiff
# Runs as an unprivileged user and with a read-only root file system; only /tmp is written to.
FROM python:3.13-slim AS build
WORKDIR /build
RUN python -m venv /opt/mlffm-segdiff
ENV PATH=/opt/mlffm-segdiff/bin:$PATH
COPY constraints.txt ./
RUN pip install --no-cache-dir --constraint constraints.txt --index-url https://download.pytorch.org/whl/cpu torch
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN pip install --no-cache-dir --constraint constraints.txt '.[app,dicom]'

FROM python:3.13-slim
COPY --from=build /opt/mlffm-segdiff /opt/mlffm-segdiff
ENV PATH=/opt/mlffm-segdiff/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    MLFFM_SEGDIFF_CACHE=/tmp/mlffm-segdiff
USER 65534:65534
WORKDIR /tmp
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["mlffm-segdiff"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
